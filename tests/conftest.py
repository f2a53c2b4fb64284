"""Whole runs of tiny models, made once and looked at by many tests."""

import os
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import house
import pytest
import tiny_models
import tiny_runs
import torch
from mmengine import load
from mmengine.registry import DefaultScope

# MKL reads it at its first product. Else the last bits of a float product depend on
# where its operands lie in memory, on CPUs of Intel, and equal runs differ.
os.environ.setdefault('MKL_CBWR', 'AVX2,STRICT')


@dataclass
class Run:
    """A tiny model, quantized.

    Attributes:
        config: Float config.
        checkpoint: Float checkpoint.
        folder: Work dir.
        results: What quantize_and_compare returned.
        predictions: Of the quantized model before it was saved.
    """

    config: str
    checkpoint: str
    folder: Path
    results: dict[str, Any]
    predictions: list[dict]


ROOT = Path(__file__).parents[1]

#: Fixtures that quantize and evaluate a model: who wants one is slow.
WHOLE_RUNS = {'vit_run', 'swin_run', 'detector_run', 'demo_run'}

#: Tests, or cases of tests, that were measured to be slow.
SLOW = house.listed_tests(Path(__file__).with_name('slow.txt'))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark as slow what needs a whole run, and what ``slow.txt`` lists."""
    for item in items:
        whole = WHOLE_RUNS.intersection(getattr(item, 'fixturenames', ()))
        if whole or {item.nodeid, item.nodeid.partition('[')[0]} & SLOW:
            item.add_marker('slow')


@pytest.fixture(autouse=True)
def no_default_scope():
    """The default scope of one test is not that of the next."""
    with pytest.MonkeyPatch.context() as patch:  # tests undo their own
        patch.setattr(DefaultScope, '_instance_dict', OrderedDict())
        yield


@pytest.fixture
def no_grad():
    """No gradients: modules ask for it by ``pytest.mark.usefixtures('no_grad')``."""
    with torch.no_grad():
        yield


@pytest.fixture
def one_thread():
    """Sums of floats depend on the number of threads; those of integers do not."""
    with tiny_runs.threads(1):
        yield


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory):
    """Folders of images, by kind."""
    root = tmp_path_factory.mktemp('tiny_data')
    tiny_runs.make_classification_images(root / 'classification')
    tiny_runs.make_detection_images(root / 'detection')
    return root


def _run(cfg, folder: Path) -> Run:
    from iptq_mm.engine.run.pipeline import quantize_and_compare

    out = folder / 'predictions.pkl'
    work_dir = str(folder / 'run')
    with tiny_runs.threads(1):
        config, checkpoint = tiny_models.write(cfg, folder, folder.name)
        results = quantize_and_compare(config, work_dir=work_dir, out=str(out))
    return Run(config, checkpoint, folder / 'run', results, load(out))


@pytest.fixture(scope='session')
def vit_run(tiny_data, tmp_path_factory):
    """A ViT whose backbone and head are quantized."""
    cfg = tiny_models.vit(tiny_data / 'classification')
    return _run(cfg, tmp_path_factory.mktemp('vit'))


@pytest.fixture(scope='session')
def swin_run(tiny_data, tmp_path_factory):
    """A Swin whose backbone, neck and head are quantized."""
    cfg = tiny_models.swin(tiny_data / 'classification')
    return _run(cfg, tmp_path_factory.mktemp('swin'))


@pytest.fixture(scope='session')
def detector_run(tiny_data, tmp_path_factory):
    """A Mask R-CNN whose backbone is quantized."""
    cfg = tiny_models.mask_rcnn(tiny_data / 'detection')
    return _run(cfg, tmp_path_factory.mktemp('mask_rcnn'))


@pytest.fixture(
    params=[
        pytest.param(n, marks=pytest.mark.slow) for n in ('vit', 'swin', 'detector')
    ]
)
def run(request):
    """Each of the runs."""
    return request.getfixturevalue(f'{request.param}_run')


@pytest.fixture(scope='session')
def demo_folder(tmp_path_factory):
    """Few demo images and the shipped weights, laid out as the configs expect."""
    path = tmp_path_factory.mktemp('demo')
    tool = [sys.executable, ROOT / 'tools/make_demo_data.py', '--out', 'data/demo']
    subprocess.run([*tool, '--train', '12', '--val', '8'], cwd=path, check=True)
    (path / 'demo').symlink_to(ROOT / 'demo')
    return path


@pytest.fixture(scope='session')
def demo_run(demo_folder) -> Callable[[str], dict[str, Any]]:
    """Quantizes a demo model, once: from the name of its config to the results.

    ``work/NAME`` in ``demo_folder`` is its work dir.
    """
    from iptq_mm.engine.run.pipeline import quantize_and_compare

    made: dict[str, dict[str, Any]] = {}
    options = {
        'quantization.calibration.num_images': 12,
        'quantization.calibration.analysis_images': 4,
        'test_dataloader.num_workers': 0,
        'test_dataloader.persistent_workers': False,
    }

    def run(name: str) -> dict[str, Any]:
        if name not in made:
            config = ROOT / f'configs/demo/{name}.py'
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(demo_folder)
                work_dir = f'work/{name}'
                made[name] = quantize_and_compare(
                    config, work_dir=work_dir, cfg_options=options
                )
        return made[name]

    return run


@pytest.fixture(params=['default', 'no vnni', 'reference'])
def product_path(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Products with and without the CPU's int8 instructions, and in int64."""
    from iptq_mm.intmath import product

    if request.param == 'no vnni':
        monkeypatch.setattr(product, 'int8_product_is_exact', lambda: False)
    with product.reference_products(request.param == 'reference'):
        yield
