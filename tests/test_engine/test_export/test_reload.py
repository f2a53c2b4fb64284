"""mm's own tools load what was written, and compute the same to the bit."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import mmengine
import pytest
import tiny_runs
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from iptq_mm.models.quantized import NOTICE
from iptq_mm.modes import Integer, regions_in

pytestmark = pytest.mark.usefixtures('one_thread')


def test_runner(run, tmp_path):
    metrics, predictions = tiny_runs.run_test(run.folder / 'integer.py', tmp_path)
    assert tiny_runs.same(predictions, run.predictions)
    assert {k: round(v, 6) for k, v in metrics.items()} == run.results['integer']


def test_moved_work_dir(swin_run, tmp_path):
    """The config finds its checkpoint beside itself, from any folder."""
    moved = tmp_path / 'elsewhere'
    moved.mkdir()
    for name in ('integer.py', 'integer.pth'):
        shutil.copy(swin_run.folder / name, moved / name)
    cfg = Config.fromfile(moved / 'integer.py')
    assert cfg.load_from == str(moved / 'integer.pth')
    assert str(swin_run.folder) not in (moved / 'integer.py').read_text()
    _, predictions = tiny_runs.run_test(moved / 'integer.py', tmp_path)
    assert tiny_runs.same(predictions, swin_run.predictions)


def test_checkpoint_holds_integers(run):
    saved = torch.load(run.folder / 'integer.pth', weights_only=True)
    original = torch.load(run.checkpoint, weights_only=True)['state_dict']
    regions = Config.fromfile(run.config).quantization.regions
    plans = {f'{region}.quantization_plan' for region in regions}
    notices = {f'{region}.{NOTICE}' for region in regions}
    assert saved['state_dict'].keys() == original.keys() | plans | notices
    for name, value in saved['state_dict'].items():
        inside = any(name.startswith(f'{region}.') for region in regions)
        assert value.is_floating_point() != inside or not value.numel(), name
        if not inside:
            assert torch.equal(value, original[name])
    for name in ('iptq_mm_version', 'dataset_meta'):
        assert name in saved['meta']


def test_checkpoint_is_about_a_quarter(vit_run):
    """All of this model is quantized."""
    size = (vit_run.folder / 'integer.pth').stat().st_size
    assert 0.25 < size / Path(vit_run.checkpoint).stat().st_size < 0.32


def test_written_config_is_a_usual_one(run):
    cfg = Config.fromfile(run.folder / 'integer.py')
    original = Config.fromfile(run.config)
    for key in ('quantization', 'candidates', 'work_dir', 'launcher'):
        assert key not in cfg
    assert cfg.custom_imports['imports'] == ['iptq_mm']
    assert cfg.model.backbone.float_type == (
        f'{original.default_scope}.{original.model.backbone.type}'
    )
    assert cfg.test_dataloader == original.test_dataloader
    assert cfg.test_evaluator == original.test_evaluator


def test_detection_apis(detector_run, tiny_data):
    from mmdet.apis import inference_detector, init_detector

    model = init_detector(
        str(detector_run.folder / 'integer.py'),
        str(detector_run.folder / 'integer.pth'),
        device='cpu',
    )
    assert model.dataset_meta['classes'] == ['red', 'green']
    assert isinstance(regions_in(model)['backbone'].mode, Integer)
    images = [str(tiny_data / f'detection/val/{n}.png') for n in range(3)]
    results = inference_detector(model, images)
    for result, expected in zip(results, detector_run.predictions, strict=True):
        for key in ('bboxes', 'scores', 'labels'):
            found = result.pred_instances[key]
            assert torch.equal(found, expected['pred_instances'][key])
        assert len(found)


def test_classification_inferencer(vit_run, tiny_data):
    from mmpretrain import ImageClassificationInferencer

    init_default_scope('mmpretrain')  # an earlier runner may have left mmdet's
    inferencer = ImageClassificationInferencer(
        str(vit_run.folder / 'integer.py'), pretrained=True, device='cpu'
    )
    paths = [prediction['img_path'] for prediction in vit_run.predictions]
    results = inferencer(paths, batch_size=4)
    for result, expected in zip(results, vit_run.predictions, strict=True):
        score = torch.as_tensor(result['pred_scores'])
        assert torch.equal(score, expected['pred_score'])
        assert result['pred_class'] in tiny_runs.CLASSES


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'package'), [('swin', 'mmpretrain'), ('detector', 'mmdet')]
)
def test_test_scripts_of_mm(name, package, request, tmp_path):
    run = request.getfixturevalue(f'{name}_run')
    script = Path(__import__(package).__file__).parent / '.mim/tools/test.py'
    # The import first: mmdet's script imports mmdet before it reads the config,
    # and where torchvision lacks its operators, iptq_mm has to be there before.
    code = f"import iptq_mm, runpy; runpy.run_path('{script}', run_name='__main__')"
    arguments = ['integer.py', 'integer.pth', '--work-dir', tmp_path]
    done = subprocess.run(
        [sys.executable, '-c', code, *arguments, '--out', tmp_path / 'out.pkl'],
        cwd=run.folder,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert tiny_runs.same(mmengine.load(tmp_path / 'out.pkl'), run.predictions)


def test_time_augmentation(swin_run, tmp_path):
    """As --tta of the test scripts wraps the model."""
    from mmengine.config import ConfigDict
    from mmengine.runner import Runner

    cfg = Config.fromfile(swin_run.folder / 'integer.py')
    cfg.work_dir, cfg.experiment_name = str(tmp_path), 'tta'
    cfg.model = ConfigDict(type='AverageClsScoreTTA', module=cfg.model)
    pipeline = cfg.test_dataloader.dataset.pipeline
    flips = [dict(type='RandomFlip', prob=p) for p in (1.0, 0.0)]
    pipeline[-1] = dict(type='TestTimeAug', transforms=[flips, [pipeline[-1]]])
    assert Runner.from_cfg(cfg).test()


def test_mixed_precision_changes_nothing(vit_run, tmp_path):
    """Products that are exact in float32 would not be under autocast."""
    _, predictions = tiny_runs.run_test(
        vit_run.folder / 'integer.py', tmp_path, **{'test_cfg.fp16': True}
    )
    assert tiny_runs.same(predictions, vit_run.predictions)
