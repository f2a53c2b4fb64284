"""Images as iptq-run reads, scales and crops them."""

import subprocess

import numpy as np
import pytest
from iptq_runtime import Library, Model
from native_cases import linear, program, weights
from PIL import Image
from runtime_cases import written

from iptq_mm.pixels import Pixels
from iptq_mm.program.ir.image_format import ImageFormat

pytestmark = pytest.mark.slow
HEIGHT, WIDTH = 24, 24


@pytest.fixture(scope='module', params=['RGB', 'BGR'])
def model(request, tmp_path_factory):
    """A file whose outputs tell pixels apart, and the order of its channels."""

    def build(recorder):
        x = recorder.input((1, 3, HEIGHT, WIDTH), -128, 127, 1.0)
        size = 3 * HEIGHT * WIDTH
        flat = recorder.node(
            'reshape', [x], (1, size), (-128, 127), {}, {'shape': [1, size]}
        )
        return linear(recorder, flat, weights(40, size), (-32767, 32767), 0.05)

    made = program(build)
    port = made.inputs[0]
    pixels = Pixels((1.0,) * 3, (2.0,) * 3)
    image = ImageFormat(request.param, pixels.mean, pixels.std)
    made.inputs[0] = type(port)(port.value, 1.0, pixels, image)
    folder = tmp_path_factory.mktemp('image')
    return written(made, folder / 'model.iptq'), request.param


def picture(height, width, seed=0):
    """Smooth and noisy parts."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([128 + 120 * np.sin(x / (7 + c) + y / 11) for c in range(3)], -1)
    noise = random.integers(0, 256, smooth.shape)
    return np.where(x[..., None] < width // 2, smooth, noise).astype(np.uint8)


def logits(host, model, path, tmp_path, *options):
    arguments = [model[0], path, '--integers', '--out', tmp_path / 'out', *options]
    made = subprocess.run(
        [host / 'iptq-run', *arguments], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return np.load(tmp_path / 'out_0.npy')


def wanted(host, model, pixels):
    if model[1] == 'BGR':
        pixels = pixels[..., ::-1]
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
    return Model(model[0], library=Library(host / 'libiptq.so'))(planes, integers=True)[
        0
    ]


@pytest.mark.parametrize('suffix', ['ppm', 'png'])
def test_an_image_of_the_right_size(host, model, tmp_path, suffix):
    if suffix == 'png' and b'png_image' not in (host / 'iptq-run').read_bytes():
        pytest.skip('iptq-run was built without libpng: apt install libpng-dev')
    pixels = picture(HEIGHT, WIDTH)
    path = tmp_path / f'image.{suffix}'
    Image.fromarray(pixels).save(path)
    found = logits(host, model, path, tmp_path)
    assert np.array_equal(found, wanted(host, model, pixels))


@pytest.mark.parametrize('filter_', ['bicubic', 'bilinear'])
@pytest.mark.parametrize('size', [(61, 90), (90, 61), (26, 19), (28, 28)])
def test_scaled_as_pillow_does(host, model, tmp_path, filter_, size):
    """The shorter edge to 28 pixels, then the middle."""
    image = Image.fromarray(picture(*size))
    path = tmp_path / 'image.ppm'
    image.save(path)
    height, width = size
    short = min(size)
    scaled = (int(28 * width / short), int(28 * height / short))
    made = image.resize(scaled, getattr(Image.Resampling, filter_.upper()))
    pixels = np.asarray(made)
    top, left = (round((n - 24) / 2) for n in pixels.shape[:2])
    pixels = pixels[top : top + HEIGHT, left : left + WIDTH]
    options = ['--bilinear'] if filter_ == 'bilinear' else []
    found = logits(host, model, path, tmp_path, '--resize', '28', *options)
    assert np.array_equal(found, wanted(host, model, pixels))


def test_another_size_is_an_error(host, model, tmp_path):
    path = tmp_path / 'image.ppm'
    Image.fromarray(picture(30, 40)).save(path)
    made = subprocess.run(
        [host / 'iptq-run', model[0], path], capture_output=True, text=True
    )
    assert made.returncode == 1
    assert 'the image is 40 x 30, the model takes 24 x 24: --resize' in made.stderr
