"""The examples in C and C++ are built, and run."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from iptq_runtime import Library, Model
from native_cases import linear, program, weights
from runtime_cases import written

from iptq_mm.pixels import Pixels

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / 'examples/runtime'


@pytest.fixture(scope='module')
def examples(host, tmp_path_factory):
    folder = tmp_path_factory.mktemp('examples')
    option = f'-DIPTQ_LIBRARY={host / "libiptq.so"}'
    for command in (
        ['cmake', '-S', EXAMPLES, '-B', folder, option],
        ['cmake', '--build', folder],
    ):
        made = subprocess.run(command, capture_output=True, text=True)
        assert made.returncode == 0, made.stdout + made.stderr
    return folder


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
    """A model of pixels with ten classes, and an image."""
    folder = tmp_path_factory.mktemp('classifier')

    def build(recorder):
        x = recorder.input((1, 3, 4, 5), -128, 127, 1.0)
        flat = recorder.node(
            'reshape', [x], (1, 60), (-128, 127), {}, {'shape': [1, 60]}
        )
        return linear(recorder, flat, weights(10, 60), (-32767, 32767), 0.5)

    made = program(build)
    port = made.inputs[0]
    made.inputs[0] = type(port)(port.value, 1.0, Pixels((1.0,) * 3, (2.0,) * 3))
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 4, 5), np.uint8)
    pixels = folder / 'pixels'
    pixels.write_bytes(image.tobytes())
    return written(made, folder / 'model.iptq'), pixels, image


@pytest.fixture(scope='module')
def best(host, classifier):
    path, _, image = classifier
    (logits,) = Model(path, library=Library(host / 'libiptq.so'))(image)
    return int(logits.argmax()), float(logits.max())


def told(best):
    return f'class {best[0]}: {best[1]:.6g}\n'


def test_c(examples, classifier, best):
    made = subprocess.run(
        [examples / 'classify', *classifier[:2]], capture_output=True, text=True
    )
    assert (made.returncode, made.stdout) == (0, told(best))


def test_c_says_what_is_wrong(examples, classifier):
    _, pixels, _ = classifier
    made = subprocess.run(
        [examples / 'classify', pixels, pixels], capture_output=True, text=True
    )
    assert made.returncode == 1 and 'are no .iptq file' in made.stderr


def test_cpp(examples, classifier, best):
    made = subprocess.run(
        [examples / 'classify_threads', *classifier[:2], '3'],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    lines = [f'thread {i}, {told(best)}' for i in range(3)]
    assert made.stdout == ''.join(lines)
