"""The commands of the README, with synthetic files under the public names.

The models are the shipped ones but for their sizes, the images few and small.
Names and commands are those of users.
"""

import json
import re
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import mmengine
import public_data
import public_files
import pytest
import scripts
import tiny_models
import tiny_runs
import torch
from mmengine.config import Config
from pycocotools.coco import COCO

from iptq_mm.engine.zoo import find
from iptq_mm.models.converters import CONVERTERS

ROOT = Path(__file__).parents[3]
ONE_PROCESS = [
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
]
#: What a command of the README is followed by, to be quick.
QUICK = [
    'quantization.weight.rounding.type=nearest',
    'quantization.weight.bias_correction=False',
    'quantization.calibration.num_images=2',
    'quantization.calibration.analysis_images=1',
    'quantization.activation.guard_images=0',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    *ONE_PROCESS,
]
CANDIDATES = """candidates = dict(_delete_=True,
    gelu=[dict(type='table_gelu')], softmax=[dict(type='i_softmax')],
    layer_norm=[dict(type='ibert_layernorm')])
"""
CLASSIFIER = "\nquantization = dict(criterion=dict(_delete_=True, type='sqnr'))\n"
SIZES = dict(embed_dims=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2])
BACKBONE = f'backbone=dict({", ".join(f"{k}={v}" for k, v in SIZES.items())})'
WIDTHS = [16, 32, 64, 128]
#: With random weights no class is likely.
FEW = (
    'test_cfg=dict(rpn=dict(nms_pre=50, max_per_img=20), '
    'rcnn=dict(score_thr=0.0, max_per_img=5))'
)
SMALL = ['test_dataloader.dataset.pipeline.1.scale=(96,64)']


@dataclass
class Case:
    """A shipped model of which a user makes a small one.

    Attributes:
        name: Its name.
        model: What differs in its model.
        options: What cannot be said there.
        public: Makes the public file of its weights.
        metric: What its evaluation must say.
        predicted: Whether something was predicted for an image.
        extra: Further lines of the config.
    """

    name: str
    model: str
    public: callable
    metric: str
    predicted: callable
    options: list[str] = field(default_factory=list)
    extra: str = ''


def swin_detector(state):
    others = {k: v for k, v in state.items() if not k.startswith('backbone.')}
    args = (SIZES['embed_dims'], SIZES['depths'], SIZES['num_heads'], 7)
    return dict(state_dict=public_files.swin_backbone(*args) | others)


CASES = [
    Case(
        'vit-small_w8a8_in1k',
        'backbone=dict(arch=dict(_delete_=True, embed_dims=32, num_layers=2, '
        'num_heads=2, feedforward_channels=64)), head=dict(in_channels=32)',
        public_files.timm_names,
        'accuracy/top1',
        lambda found: len(found['pred_score']) == 1000,
        extra=CLASSIFIER,
    ),
    Case(
        'swin-tiny_w8a8_in1k',
        f'backbone=dict(arch=dict({", ".join(f"{k}={v}" for k, v in SIZES.items())}, '
        '_delete_=True)), head=dict(in_channels=128)',
        lambda state: dict(state_dict=state),
        'accuracy/top1',
        lambda found: len(found['pred_score']) == 1000,
        extra=CLASSIFIER,
    ),
    Case(
        'cascade-mask-rcnn_swin-t_w8a8_coco',
        f'{BACKBONE}, neck=dict(in_channels={WIDTHS}), {FEW}',
        swin_detector,
        'coco/bbox_mAP',
        lambda found: len(found['pred_instances']['masks']) > 0,
        SMALL + [f'model.roi_head.bbox_head.{i}.fc_out_channels=16' for i in range(3)],
    ),
    Case(
        'mask-rcnn_swin-t_w8a8_coco',
        f'{BACKBONE}, neck=dict(in_channels={WIDTHS}), {FEW}, '
        'roi_head=dict(bbox_head=dict(fc_out_channels=16))',
        lambda state: dict(state_dict=state, meta={}),
        'coco/bbox_mAP',
        lambda found: len(found['pred_instances']['masks']) > 0,
        SMALL,
    ),
]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    public_data.write(root)
    return root


@pytest.fixture
def place(tmp_path, data, monkeypatch):
    """The user's folder: with data, without checkpoints, and without network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')
    (tmp_path / 'data').symlink_to(data)
    (tmp_path / 'mirror').mkdir()
    # 1000 classes, numbered in another order than that of their WordNet IDs.
    kit = tmp_path / 'ILSVRC2012_devkit_t12'
    public_files.write_devkit(kit, [f'n{n * 7 % 1000:08}' for n in range(1000)])
    return tmp_path


def config_of(case):
    """A user's config that inherits the shipped one."""
    inherited = dict(find(case.name).configs)[case.name].removeprefix('configs/')
    path = Path('mine.py')
    path.write_text(
        f"_base_ = 'iptq_mm::{inherited}'\nmodel = dict({case.model})\n"
        f'{CANDIDATES}{case.extra}'
    )
    return path


def commands(heading, **words):
    """The commands below a heading of the README, a list of words for each."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    section = text.partition(f'## {heading}\n')[2].partition('\n## ')[0]
    block = section.partition('```\n')[2].partition('```')[0]
    for line in block.replace('\\\n', ' ').splitlines():
        line = re.sub('|'.join(words), lambda found: words[found[0]], line)
        python, tool, *arguments = line.split()
        assert python == 'python'
        yield ROOT / tool, arguments


def submission(cfg):
    """The command of the README that fits the model."""
    words = {'work_dirs/swin_cascade/': 'out/', 'configs/': f'{ROOT}/configs/'}
    words |= {'work_dirs/deit-tiny_w8a8_in1k/': 'out/'}
    kind = 'test-dev' if cfg.default_scope == 'mmdet' else 'imagenet_test'
    (command,) = [
        (path, arguments)
        for path, arguments in commands('Evaluation servers', **words)
        if kind in arguments[2]
    ]
    return command


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_commands_of_the_readme(case, place, monkeypatch, capsys, one_thread):
    config, one = config_of(case), find(case.name)
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(
        {k: eval(v) for k, v in (o.split('=') for o in case.options) if 'model' in k}
    )
    float_state = tiny_models.build(cfg).state_dict()
    torch.save(case.public(float_state), place / 'mirror' / one.file_name)
    if one.sha256:
        assert one.sha256 in one.file_name
    more = {
        'get_checkpoint': ['--mirror', 'file://' + str(place / 'mirror'), '--keep']
        + ['--any-checksum'],
        'quantize': ['--out', 'quantized.pkl', '--cfg-options', *QUICK, *case.options],
        'test': ['--out', 'predictions.pkl'],
        'submit': ['--cfg-options', *ONE_PROCESS, *SMALL * bool(case.options)],
    }
    tools = []
    first = commands(
        'From the public checkpoints', NAME='mine.py', CONFIG='mine.py', WORK_DIR='out'
    )
    for path, arguments in [*first, submission(cfg)]:
        run = scripts.runner(scripts.as_module(path), monkeypatch, capsys)
        if path.stem == 'quantize':
            # What is missing is said with the command that gets it.
            hidden = one.path().rename('hidden')
            said = run('mine.py', *more['quantize']).mistake
            assert f'tools/get_checkpoint.py {case.name}' in said and one.url in said
            hidden.rename(one.path())
        ran = run(*arguments, *more.get(path.stem, []))
        assert ran.code == 0, ran.err
        tools.append(path.stem)
        if path.stem == 'get_checkpoint':
            check_conversion(one, monkeypatch, capsys)
    assert tools == ['get_checkpoint', 'quantize', 'test', 'submit']
    results = json.loads(Path('out/results.json').read_text())
    assert case.metric in results['integer']
    predictions = mmengine.load('predictions.pkl')
    assert predictions and case.predicted(predictions[0])
    assert tiny_runs.same(predictions, mmengine.load('quantized.pkl'))
    check_submission(predictions)


def check_submission(predictions):
    """The test images are the evaluated ones, and so are the predictions."""
    folder, count = Path('out/submission'), len(predictions)
    if 'pred_score' in predictions[0]:
        lines = (folder / 'NAME.txt').read_text().splitlines()
        assert len(lines) == count
        # The kit numbers the class n * 7 % 1000 of mm as n + 1.
        best = [p['pred_score'].topk(5).indices for p in predictions]
        numbers = [(classes * 143 % 1000 + 1).tolist() for classes in best]
        assert lines == [' '.join(map(str, row)) for row in numbers]
        return
    found = sum(len(p['pred_instances']['labels']) for p in predictions)
    for kind in ('bbox', 'segm'):
        path = folder / kind / 'detections_test-dev2017_NAME_results.zip'
        with zipfile.ZipFile(path) as file:
            results = json.loads(file.read(f'{path.stem}.json'))
        assert len(results) == found > 0
        truth = COCO('data/coco/annotations/image_info_test-dev2017.json')
        assert len(truth.loadRes(results).anns) == len(results)


def check_conversion(one, monkeypatch, capsys):
    """What was converted is what the tool for one file makes."""
    if not one.converter:
        return
    tool = ROOT / f'tools/model_converters/{one.converter}.py'
    module = scripts.as_module(tool)
    original = one.path().with_name(one.file_name)
    monkeypatch.setattr('sys.argv', [tool.name, str(original), 'again.pth'])
    module.main()
    again, first = (
        torch.load(path, weights_only=True)['state_dict']
        for path in ('again.pth', one.path())
    )
    assert again.keys() == first.keys() and one.converter in CONVERTERS
    assert all(again[key].equal(first[key]) for key in first)
    shutil.rmtree('mirror')
