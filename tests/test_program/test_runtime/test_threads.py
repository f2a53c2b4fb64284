"""Any number of threads share a quantized model.

``IPTQ_MM_STRESS_SECONDS=60 pytest tests/test_program/test_runtime/test_threads.py``
runs each back end for a minute on 200 shapes.
"""

import copy
import itertools
import os
import random
import threading
import time
from collections import Counter

import psutil
import pytest
import torch
from program_cases import quantized_swin, vit_program
from region_models import Custom, images, quantized, rows, same

from iptq_mm.modes import bound_region
from iptq_mm.program import Deployed, use_backend
from iptq_mm.program.runtime.programs import MAX_PROGRAMS

SECONDS = float(os.environ.get('IPTQ_MM_STRESS_SECONDS', 2))
LONG = SECONDS >= 30
THREADS = 8
SHAPES = [
    (batch, 3, height, width)
    for batch, height, width in itertools.product(
        (1, 2), range(17, 57, 4), range(20, 60, 4)
    )
][:: 1 if LONG else 5]


def together(work, count=THREADS):
    """Run ``work(number)`` in threads; what they raised."""
    raised = []

    def attempt(number):
        try:
            with torch.no_grad():
                work(number)
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@pytest.fixture(scope='module')
def cases():
    """An input of each shape, and what one thread makes of it."""
    net = copy.deepcopy(quantized_swin())
    inputs = [images(*shape, seed=n) for n, shape in enumerate(SHAPES)]
    with torch.no_grad():
        return [(x, net(x)) for x in inputs]


@pytest.mark.slow
@pytest.mark.parametrize('backend', [None, 'reference', 'native', 'onnx'])
def test_every_answer_is_right(cases, backend):
    net = copy.deepcopy(quantized_swin())
    use_backend(net, backend)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    end, seen, memory = time.monotonic() + SECONDS, Counter(), []

    def work(number):
        draw = random.Random(number)
        # Some threads go on with few sizes, the others come with ever new ones.
        mine = cases[:3] if number % 2 else cases
        while time.monotonic() < end:
            x, expected = draw.choice(mine)
            seen['right' if same(net(x), expected) else 'wrong'] += 1
            if time.monotonic() > end - SECONDS * 2 / 3:
                memory.append(psutil.Process().memory_info().rss)

    assert together(work) == []
    assert seen['right'] >= THREADS and not seen['wrong']
    after = net.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert all(type(p) is torch.nn.Parameter for p in net.parameters())
    session = bound_region(net.backbone).session
    if session is not None:
        assert len(session.programs) <= MAX_PROGRAMS
    if LONG:
        print(f'{backend or "eager"}: {seen["right"]} right answers')
        quarter = max(1, len(memory) // 4)
        early, late = max(memory[:quarter]), max(memory[-quarter:])
        assert late < early * 1.1 + 64 * 2**20


@pytest.mark.slow
def test_compiled_programs():
    """Two threads make programs, others run them."""
    net = quantized(Custom(last), [rows()])
    inputs = [rows(n, 5, seed=n) for n in (1, 2)]
    with torch.no_grad():
        expected = [net(x) for x in inputs]
    use_backend(net, 'compiled')

    def work(number):
        for turn in range(6):
            i = (number + turn) % 2
            assert same(net(inputs[i]), expected[i])

    assert together(work, 4) == []


def last(m, x):
    return m.last(x)


@pytest.mark.parametrize('backend', ['reference', 'native'])
def test_deployed(backend):
    model = Deployed(vit_program(), backend)
    inputs = [images(2, 3, 32, 32, seed=s) for s in range(THREADS)]
    expected = [model(x) for x in inputs]

    def work(number):
        for _ in range(10):
            assert same(model(inputs[number]), expected[number])

    assert together(work) == []


class Waiting:
    """Model code that stops in the middle of a call with 7 tokens."""

    def __init__(self):
        self.inside, self.go_on = threading.Event(), threading.Event()

    def __call__(self, m, x):
        if x.shape[1] == 7:
            self.inside.set()
            assert self.go_on.wait(60)
        return m.last(x)

    def __deepcopy__(self, memo):
        return self


def while_it_waits(net, waiting, look):
    """Call ``look`` while another thread is inside a call; that call's output."""
    made = []
    with torch.no_grad():
        thread = threading.Thread(target=lambda: made.append(net(rows(1, 7))))
        thread.start()
        try:
            assert waiting.inside.wait(60)
            look()
        finally:
            waiting.go_on.set()
            thread.join()
    return made[0]


@torch.no_grad()
@pytest.mark.parametrize('backend', ['reference', 'native'])
def test_known_sizes_need_not_wait_for_new_ones(backend):
    waiting = Waiting()
    net = quantized(Custom(waiting), [rows(1, 5)])
    expected = net(rows(1, 5))
    use_backend(net, backend)
    net(rows(1, 5))

    def look():
        for _ in range(3):
            assert same(net(rows(1, 5)), expected)

    made = while_it_waits(net, waiting, look)
    use_backend(net, None)
    assert same(made, net(rows(1, 7)))


@torch.no_grad()
@pytest.mark.parametrize('backend', [None, 'reference'])
def test_nobody_sees_a_model_in_the_middle_of_a_call(backend):
    waiting = Waiting()
    net = quantized(Custom(waiting), [rows(1, 5)])
    use_backend(net, backend)
    before = {k: v.clone() for k, v in net.state_dict().items()}

    def look():
        after = copy.deepcopy(net).state_dict()
        assert all(torch.equal(after[k], v) for k, v in before.items())

    while_it_waits(net, waiting, look)


@torch.no_grad()
@pytest.mark.parametrize('backend', [None, 'native'])
def test_a_call_that_fails_disturbs_no_other(backend):
    def body(m, x):
        if x.shape[1] == 3:
            raise RuntimeError('no images of this size')
        return m.last(x)

    net = quantized(Custom(body), [rows(1, 5)])
    expected = net(rows(1, 5))
    use_backend(net, backend)

    def work(number):
        for _ in range(10):
            if number % 2:
                with pytest.raises(RuntimeError, match='of this size'):
                    net(rows(1, 3))
            else:
                assert same(net(rows(1, 5)), expected)

    assert together(work) == []
    assert same(net(rows(1, 5)), expected)
