"""The runtime in a browser: the integers of Python, and no word to anybody."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from in_chromium import page_of
from native_cases import linear, program, weights
from program_cases import integers, vit_program
from runtime_cases import written
from runtime_checks.comparing import digest
from runtime_checks.wasm import PACKAGE

from iptq_mm.pixels import Pixels
from iptq_mm.program import run
from iptq_mm.program.backends.boundary import TORCH, quantized_inputs
from iptq_mm.program.ir.image_format import ImageFormat

pytestmark = pytest.mark.slow

RUN = """async ({inputs, variant}) => {
  const {load, available} = await import('/iptq/index.js');
  const {digest} = await import('/iptq/digest.js');
  if (!available().includes(variant)) return null;
  const runtime = await load({variant});
  const model = runtime.open(await (await fetch('/model.iptq')).arrayBuffer());
  const types = {int8: Int8Array, int16: Int16Array};
  const given = inputs.map(({type, values}) => types[type].from(values));
  const made = await digest(model.predict(given, {integers: true}), model.outputs);
  model.close();
  return made;
}"""


@pytest.fixture(scope='module')
def site(webassembly, tmp_path_factory):
    """The page's files."""
    folder = tmp_path_factory.mktemp('site')
    shutil.copytree(PACKAGE.parents[1] / 'demo' / 'web', folder, dirs_exist_ok=True)
    shutil.copytree(webassembly, folder / 'iptq')
    return folder


def test_integers(site):
    """Of all variants that the browser can run, the simple one among them."""
    written(vit_program(), site / 'model.iptq')
    batch = integers(vit_program(), 0)
    wanted = digest([x.numpy() for x in run(vit_program(), batch)])
    inputs = [
        {'type': str(x.numpy().dtype), 'values': x.flatten().tolist()} for x in batch
    ]
    with page_of(site) as (page, address, _):
        page.goto(f'{address}/iptq/')
        made = {
            variant: page.evaluate(RUN, {'inputs': inputs, 'variant': variant})
            for variant in ('simd128', 'simd128+relaxed')
        }
    assert made['simd128'] == wanted
    assert made['simd128+relaxed'] in (wanted, None)


def classifier():
    """A model of pixels with ten classes."""

    def build(recorder):
        x = recorder.input((1, 3, 8, 8), -128, 127, 1.0)
        flat = recorder.node(
            'reshape', [x], (1, 192), (-128, 127), {}, {'shape': [1, 192]}
        )
        return linear(recorder, flat, weights(10, 192), (-32767, 32767), 0.5)

    made = program(build)
    pixels = Pixels((1.0,) * 3, (2.0,) * 3)
    image = ImageFormat('BGR', pixels.mean, pixels.std)
    made.inputs[0] = type(made.inputs[0])(made.inputs[0].value, 1.0, pixels, image)
    return made


def sample(made, folder, number):
    """A picture of noise, and the digest of its integers."""
    image = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    cv2.imwrite(str(folder / f'{number}.png'), image)
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
    outputs = run(made, quantized_inputs(made, [tensor], TORCH))
    return {'file': f'{number}.png', 'digest': digest([x.numpy() for x in outputs])}


def test_page(site):
    """The samples' integers are Python's, another digest is seen, nothing leaves."""
    models = site / 'models'
    models.mkdir()
    made = classifier()
    written(made, models / 'classifier.iptq')
    samples = [sample(made, models, number) for number in range(3)]
    about = {'name': 'classifier', 'kind': 'classifier', 'file': 'classifier.iptq'}
    about['samples'] = samples
    (models / 'models.json').write_text(json.dumps([about]))
    with page_of(site) as (page, address, asked):
        page.goto(f'{address}/index.html')
        page.wait_for_selector('#digest.good')
        assert 'ms' in page.inner_text('#time')
        assert page.locator('#classes li').count() == 5
        page.click('#check')
        page.wait_for_selector('text=3 of 3 pictures')
        page.set_input_files('#file', models / '1.png')
        page.wait_for_selector('#status:has-text("nothing left")')
        assert all(url.startswith((f'{address}/', 'blob:', 'data:')) for url in asked)
        samples[0]['digest'] = '0' * 16
        (models / 'models.json').write_text(json.dumps([about]))
        page.reload()
        page.wait_for_selector('#digest.bad')
