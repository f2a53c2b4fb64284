"""JavaScript and Python have the same arithmetic between regions, to the last bit."""

import json
import shutil
import subprocess
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from iptq_runtime.detection.boxes import anchors, decoded, kept
from iptq_runtime.detection.exact import exponential, softmax
from iptq_runtime.detection.masks import pasted
from iptq_runtime.detection.pooling import pooled
from runtime_checks.wasm import PACKAGE

pytestmark = pytest.mark.slow

SCRIPT = """
import {readFileSync} from 'node:fs';
import * as boxes from 'PACKAGE/boxes.js';
import * as exact from 'PACKAGE/exact.js';
import * as masks from 'PACKAGE/masks.js';
import * as pooling from 'PACKAGE/pooling.js';
const numbers = (x) => Float64Array.from(x);
const given = JSON.parse(readFileSync(0, 'utf-8'));
const made = (BODY)(given);
const doubles = Float64Array.from(made);  // JSON has no -0
console.log(Buffer.from(doubles.buffer).toString('hex'));
"""


def javascript(body, **given):
    """What a function of JavaScript makes of arguments, as doubles."""
    if shutil.which('node') is None:
        warnings.warn('NOT TESTED: node missing: apt install nodejs', stacklevel=2)
        pytest.skip('node missing')
    script = SCRIPT.replace('PACKAGE', str(PACKAGE / 'detection'))
    script = script.replace('BODY', body)
    command = ['node', '--input-type=module', '--eval', script]
    arrays = {
        k: v.ravel().tolist() if isinstance(v, np.ndarray) else v
        for k, v in given.items()
    }
    made = subprocess.run(
        command, input=json.dumps(arrays), capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return np.frombuffer(bytes.fromhex(made.stdout.strip()), np.float64)


def same(one, other):
    """Whether doubles have the same bits."""
    other = np.asarray(other, np.float64).ravel()
    return one.tobytes() == other.tobytes()


def some_boxes(count):
    rng = np.random.default_rng(0)
    one, other = rng.uniform(-30, 170, (2, count, 2))
    made = np.concatenate([np.minimum(one, other), np.maximum(one, other)], axis=1)
    made = np.clip(made, 0, 160)
    made[:3, 2:] = made[:3, :2]
    return made


def test_exponential():
    x = np.random.default_rng(0).normal(size=20_000) * 200
    body = '({x}) => numbers(x).map(exact.exponential)'
    assert same(javascript(body, x=x), exponential(x))
    assert not same(javascript(body, x=x), np.nextafter(exponential(x), np.inf))


def test_probabilities():
    x = np.random.default_rng(1).normal(size=(500, 7)) * 6
    body = """({x}) => Array.from({length: 500}, (_, i) =>
        [...exact.softmax(numbers(x.slice(7 * i, 7 * i + 7)))]).flat()"""
    assert same(javascript(body, x=x), softmax(x))


def test_anchors():
    base = [[-11.313708305358887, -5.6, 11.3, 5.6], [-8.0, -8.0, 8.0, 8.0]]
    body = '({base}) => boxes.anchors(base, [4, 8], [5, 9])'
    assert same(javascript(body, base=base), anchors(base, (4, 8), (5, 9)))


def test_decoding():
    coder = {'means': [0.0, 0.1, 0.0, 0.0], 'stds': [0.1, 0.1, 0.2, 0.2], 'limit': 4.1}
    from_, deltas = (
        some_boxes(2000),
        np.random.default_rng(2).normal(size=(2000, 4)) * 9,
    )
    body = """({from, deltas, coder}) =>
        boxes.decoded(numbers(from), numbers(deltas), coder, [160, 120])"""
    made = javascript(body, **{'from': from_}, deltas=deltas, coder=coder)
    assert same(made, decoded(from_, deltas, coder, (160, 120)))


@pytest.mark.parametrize('most', [10, 1000])
def test_overlaps(most):
    rng = np.random.default_rng(3)
    from_, groups = some_boxes(600), rng.integers(0, 3, 600)
    scores = rng.integers(0, 40, 600) / 40  # many equal ones
    body = """({from, scores, groups, most}) =>
        boxes.kept(numbers(from), scores, groups, 0.4, most)"""
    made = javascript(body, **{'from': from_}, scores=scores, groups=groups, most=most)
    expected = kept(from_, scores, groups, 0.4, most)
    assert same(made, expected) and len(expected) >= 10


@pytest.mark.parametrize('high', [127, 32767])
@pytest.mark.parametrize('samples', [0, 3])
def test_cells(high, samples):
    rng = np.random.default_rng(4)
    shapes = [(1, 2, 40, 40), (1, 2, 20, 20)]
    maps = [rng.integers(-high, high + 1, shape).astype(np.int16) for shape in shapes]
    ports = [
        {'shape': s, 'scale': 0.0005 / k, 'low': -high, 'high': high}
        for k, s in enumerate(shapes, 1)
    ]
    pool = {'cells': 7, 'samples': samples, 'strides': [4, 8], 'finest': 20}
    target = {'scale': 0.0005 * high / 99, 'low': -126, 'high': 129}
    body = """({first, second, ports, from, pool, target}) => pooling.pooled(
        [Int16Array.from(first), Int16Array.from(second)], ports, numbers(from), pool,
        target)"""
    from_ = some_boxes(300)
    made = javascript(
        body,
        **{'from': from_},
        first=maps[0],
        second=maps[1],
        ports=ports,
        pool=pool,
        target=target | {'integers': 'int16'},
    )
    own = [SimpleNamespace(**port) for port in ports]
    expected = pooled(maps, own, from_, pool, SimpleNamespace(**target, dtype='int16'))
    assert same(made, expected) and np.abs(expected).max() > 60


def test_masks():
    rng = np.random.default_rng(5)
    body = '({grid, box}) => masks.pasted(numbers(grid), 14, box, [90, 160], 0.5)'
    for box in some_boxes(6)[2:]:
        grid = rng.uniform(0, 1, (14, 14))
        made = javascript(body, grid=grid, box=box)
        assert same(made, pasted(grid, box, (90, 160), 0.5))
