"""tools/submit.py: from an integer model to the files of the servers."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import mmengine
import pytest
import tiny_runs
from mmengine.config import Config
from pycocotools.coco import COCO

from iptq_mm.datasets.demo_shapes import CLASSES
from iptq_mm.engine.run.pipeline import quantize_and_compare

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/submit.py'

pytestmark = pytest.mark.usefixtures('one_thread')

DATA = """
test_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset', data_root={root!r}, test_mode=True,
        metainfo=dict(classes={classes!r}),
        ann_file='image_info_test-dev2017.json', data_prefix=dict(img='test2017')))
"""


def without_annotations(source: Path, images: Path, folder: Path, classes) -> Path:
    """A test set like test-dev: images and their sizes, nothing about objects."""
    data = json.loads(source.read_text())
    del data['annotations']
    folder.mkdir(parents=True)
    shutil.copytree(images, folder / 'test2017')
    (folder / 'image_info_test-dev2017.json').write_text(json.dumps(data))
    config = folder / 'data.py'
    config.write_text(DATA.format(root=str(folder), classes=tuple(classes)))
    return config


def loaded(path: Path, truth: Path) -> tuple[list, COCO]:
    """The results in a zip file, and what COCO's own code makes of them."""
    with zipfile.ZipFile(path) as file:
        (name,) = file.namelist()
        assert name == f'{path.stem}.json'
        results = json.loads(file.read(name))
    return results, COCO(str(truth)).loadRes(results)


def test_a_detector_from_its_config_to_the_files(tool, detector_run, tmp_path):
    data = Path(Config.fromfile(detector_run.config).test_dataloader.dataset.data_root)
    config = without_annotations(
        data / 'val.json', data / 'val', tmp_path / 'dev', ('red', 'green')
    )
    integer = detector_run.folder / 'integer.py'
    options = '--data', config, '--name', 'tiny', '--out', 'files'
    ran = tool(integer, *options)
    assert ran.code == 0, ran.err
    wrote = [x for x in ran.out.splitlines() if x.startswith('wrote ')]
    files = [Path(x.removeprefix('wrote ')) for x in wrote]
    assert [f.parent.name for f in files] == ['bbox', 'segm']
    for path in files:
        assert path.name == 'detections_test-dev2017_tiny_results.zip'
        results, _ = loaded(path, tmp_path / 'dev/image_info_test-dev2017.json')
        kept = [p['pred_instances'] for p in detector_run.predictions]
        assert len(results) == sum(len(k['scores']) for k in kept) > 0
    kept = mmengine.load('files/predictions.pkl')
    for a, b in zip(kept, detector_run.predictions, strict=True):
        assert tiny_runs.same(a['pred_instances'], b['pred_instances'])
    # Those predictions again, without a model.
    again = tool(
        integer, *options[:-1], 'again', '--predictions', 'files/predictions.pkl'
    )
    assert again.code == 0, again.err
    for path in files:
        assert Path('again', *path.parts[1:]).read_bytes()
    assert not Path('again/predictions.pkl').exists()


@pytest.mark.slow
def test_the_demo_detector_on_images_without_annotations(tool, tmp_path, monkeypatch):
    """Twenty images, trained weights, and a schema check that is not ours."""
    make = [
        sys.executable,
        ROOT / 'tools/make_demo_data.py',
        '--out',
        tmp_path / 'demo',
    ]
    subprocess.run([*make, '--train', '8', '--val', '20'], check=True)
    monkeypatch.chdir(ROOT)
    work = tmp_path / 'work'
    quantize_and_compare(
        'configs/demo/swin_cascade_demo_w8a8.py',
        work_dir=str(work),
        run_float=False,
        cfg_options={
            **{
                f'{part}_dataloader.dataset.data_root': str(tmp_path / 'demo')
                for part in ('train', 'val', 'test')
            },
            'test_evaluator.ann_file': str(tmp_path / 'demo/annotations/val.json'),
            'test_dataloader.dataset.indices': 1,
            'quantization.calibration.num_images': 4,
        },
    )
    config = without_annotations(
        tmp_path / 'demo/annotations/val.json',
        tmp_path / 'demo/val',
        tmp_path / 'dev',
        CLASSES,
    )
    ran = tool(work / 'integer.py', '--data', config, '--name', 'demo')
    assert ran.code == 0, ran.err
    truth = tmp_path / 'dev/image_info_test-dev2017.json'
    for kind in ('bbox', 'segm'):
        name = 'detections_test-dev2017_demo_results.zip'
        results, coco = loaded(work / 'submission' / kind / name, truth)
        images = {r['image_id'] for r in results if r['score'] > 0.5}
        assert len(images) == 20
        assert len(coco.anns) == len(results)


def test_a_classifier_needs_the_development_kit(tool, vit_run):
    ran = tool(vit_run.folder / 'integer.py', '--name', 'x')
    assert ran.code == 1 and 'name the folder of the development kit' in ran.mistake


def test_mistakes(tool, detector_run, tmp_path):
    integer = detector_run.folder / 'integer.py'
    ran = tool(integer, '--name', 'a b')
    assert ran.code == 1 and 'it becomes part of a file name' in ran.mistake
    ran = tool(integer, '--name', 'a')
    assert ran.code == 1 and 'name it with --testset' in ran.mistake
    ran = tool(integer, '--name', 'a', '--testset', 'val2017', '--predictions', 'b.pkl')
    assert ran.code == 1 and 'no file of predictions b.pkl' in ran.mistake
    Path('data.py').write_text('x = 1')
    ran = tool(integer, '--name', 'a', '--data', 'data.py')
    assert ran.code == 1 and 'no test_dataloader with a dataset' in ran.mistake
    Path('b.pkl').write_bytes(b'hello')
    ran = tool(integer, '--name', 'a', '--testset', 'val2017', '--predictions', 'b.pkl')
    assert ran.code == 1 and 'b.pkl holds no predictions' in ran.mistake
