"""The demo detector without mm: beside mmdet, in node, in C, on the page."""

import copy
import json
import os
import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from in_chromium import page_of
from iptq_runtime import Error
from iptq_runtime.detection import Detector, pixels_of
from mmengine.config import Config
from mmengine.runner import Runner
from runtime_checks.comparing import digest
from runtime_checks.detecting import (
    Differences,
    detected_in_node,
    detector_in_python,
    pictures,
    pixel_bytes,
)
from runtime_checks.machines import machines
from runtime_checks.regions import RecordedModel, differing
from runtime_checks.wasm import PACKAGE

from iptq_mm.engine.export.detector import export_detector
from iptq_mm.engine.loading.models import load_quantized

pytestmark = [pytest.mark.usefixtures('one_thread'), pytest.mark.slow]

NAME = 'swin_cascade_demo_whole-w8a8'
IMAGES = 8


@pytest.fixture(scope='module')
def demo(demo_folder, demo_run, tmp_path_factory):
    """The detector in files and in Python; images, and what both find in them."""
    demo_run(NAME)
    folder = tmp_path_factory.mktemp('files')
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.chdir(demo_folder)
        config = demo_folder / 'work' / NAME / 'integer.py'
        made = export_detector(config, None, folder)
        _, model = load_quantized(str(config), None)
        loader = Config.fromfile(config).test_dataloader
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        data = Runner.build_dataloader(loader)
        detector = detector_in_python(made)
        taken = list(pictures(model, made.programs['trunk.iptq'], data, IMAGES))
        images = [pixel_bytes(integers) for _, integers in taken]
        batches = [copy.deepcopy(batch) for batch, _ in taken]
        wanted = [model.test_step(batch)[0].pred_instances for batch in batches]
    found = [detector(image) for image in images]
    digests = [digest(x.arrays) for x in found]
    return SimpleNamespace(
        folder=folder,
        made=made,
        images=images,
        found=found,
        wanted=wanted,
        digests=digests,
        pictures=[batch['inputs'][0].permute(1, 2, 0).numpy() for batch, _ in taken],
    )


def test_mmdet_finds_the_same(demo):
    beside = Differences()
    for found, wanted in zip(demo.found, demo.wanted, strict=True):
        beside.add(found, wanted, 0.1)
    assert beside.objects >= 2 * IMAGES and beside.missing == 0
    # Of 142 objects of 20 images: 0.064, 0.004 and 0.989.
    assert beside.box < 0.15 and beside.score < 0.03 and beside.mask > 0.97


def test_a_difference_is_found(demo):
    """The detections of another image."""
    beside = Differences()
    beside.add(demo.found[0], demo.wanted[1], 0.3)
    assert beside.missing > 0


def test_node_has_the_same_bits(demo, webassembly):
    found = detected_in_node(webassembly, demo.folder, demo.images, 'simd128')
    assert [x['digest'] for x in found] == demo.digests
    for made, own in zip(found, demo.found, strict=True):
        assert made['boxes'] == own.boxes.ravel().tolist()
        assert made['scores'] == own.scores.tolist()


def test_no_object(demo, webassembly, tmp_path):
    """Where nothing is likely enough, all arrays are empty, in both languages."""
    shutil.copytree(demo.folder, tmp_path, dirs_exist_ok=True)
    settings = copy.deepcopy(demo.made.settings)
    settings['boxes']['least'] = 1.0
    (tmp_path / 'detector.json').write_text(json.dumps(settings))
    made = SimpleNamespace(settings=settings, programs=demo.made.programs)
    found = detector_in_python(made)(demo.images[0])
    assert len(found.scores) == 0 and found.masks.shape == (0, 160, 160)
    (node,) = detected_in_node(webassembly, tmp_path, demo.images[:1], 'simd128')
    assert node['digest'] == digest(found.arrays) and node['boxes'] == []


def test_the_c_library_has_the_same_bits(demo, host, monkeypatch):
    from iptq_runtime import library

    monkeypatch.setenv(library.VARIABLE, os.fspath(host / 'libiptq.so'))
    library.bundled.cache_clear()
    detector = Detector.open(demo.folder)
    made = [digest(detector(image).arrays) for image in demo.images]
    library.bundled.cache_clear()
    assert made == demo.digests
    assert detector.classes[0] == 'circle'
    picture = demo.pictures[0][:, :, ::-1]  # RGB, as the program takes it
    assert (pixels_of(picture) == demo.images[0]).all()


def test_machines_have_the_integers_of_all_regions(demo, host, c_compiler):
    """Each level of this machine, and the file of C."""
    models = {name: RecordedModel(x) for name, x in demo.made.programs.items()}
    found = Detector(demo.made.settings, models)(demo.images[0])
    assert digest(found.arrays) == demo.digests[0]
    assert len(models) == 7 and all(model.given for model in models.values())
    for machine in machines(['host', 'c']):
        assert differing(models, machine) == []
    models['masks_2.iptq'].made[0][0].flat[-1] ^= 1
    assert differing(models, machine) == ['masks_2.iptq']


def test_what_is_no_detector_is_refused(demo, tmp_path):
    with pytest.raises(Error, match='no folder of a detector'):
        Detector.open(tmp_path)
    settings = demo.made.settings | {'version': 99}
    with pytest.raises(Error, match='version 99, this package reads 1'):
        Detector(settings, {})


def test_node_says_what_is_wrong(demo, webassembly):
    with pytest.raises(RuntimeError, match=r'images have the shape \(n, 3,160,160\)'):
        detected_in_node(webassembly, demo.folder, [demo.images[0][..., :9]], 'simd128')


def test_page(demo, webassembly, tmp_path):
    """Boxes are drawn, all samples have Python's bits, nothing leaves the page."""
    shutil.copytree(PACKAGE.parents[1] / 'demo' / 'web', tmp_path, dirs_exist_ok=True)
    shutil.copytree(webassembly, tmp_path / 'iptq')
    shutil.copytree(demo.folder, tmp_path / 'models' / 'demo')
    about = {'name': 'demo', 'kind': 'detector', 'file': 'demo', 'samples': []}
    for i, made in enumerate(demo.digests):
        about['samples'].append({'file': f'{i}.png', 'digest': made})
        picture = np.ascontiguousarray(demo.pictures[i])
        cv2.imwrite(str(tmp_path / 'models' / f'{i}.png'), picture)
    index = tmp_path / 'models' / 'models.json'
    index.write_text(json.dumps([about]))
    drawn = """() => {
      const {width, height} = document.getElementById('objects');
      const context = document.getElementById('objects').getContext('2d');
      return context.getImageData(0, 0, width, height).data.some((x) => x);
    }"""
    with page_of(tmp_path) as (page, address, asked):
        page.goto(f'{address}/index.html')
        page.wait_for_selector('#digest.good')
        sure = int((demo.found[0].scores >= 0.3).sum())
        assert page.locator('#classes li').count() == sure > 0
        assert page.evaluate(drawn) and 'ms' in page.inner_text('#time')
        page.click('#check')
        page.wait_for_selector(f'text={IMAGES} of {IMAGES} pictures')
        assert all(url.startswith((f'{address}/', 'blob:', 'data:')) for url in asked)
        about['samples'][0]['digest'] = demo.digests[1]
        index.write_text(json.dumps([about]))
        page.reload()
        page.wait_for_selector('#digest.bad')
