"""tools/audit.py proves the presets of the shipped configs."""

import json
import re
from pathlib import Path

import pytest
import shipped
from mmengine.config import Config

ROOT = Path(__file__).parents[2]
TOOL, CONFIGS = ROOT / 'tools/audit.py', ROOT / 'configs'

pytestmark = pytest.mark.usefixtures('one_thread')

SMALL = 'demo/vit_demo_w8a8.py'
# Of the papers, which all run the same functions, a small one of each kind.
SOME = re.compile(r'/sample/(deit|swin)-tiny_(iptq|mixed)-w8a8')
PRESETS = [n for n in shipped.PRESETS if n != SMALL] + [
    name for name in shipped.PAPERS if SOME.search(name)
]


def quick(name: str, folder: Path) -> tuple[Path, tuple[int, int]]:
    """A config that calibrates on two images of noise, and the size of its images.

    What takes long and changes no bit width is left out: weights are rounded to
    nearest, functions chosen without gradients. Without its checkpoint the model is
    an untrained one.
    """
    cfg = Config.fromfile(CONFIGS / name)
    detector = cfg.default_scope == 'mmdet'
    size = (96, 128) if detector else (64, 64) if 'demo' in name else (224, 224)
    if not (ROOT / (cfg.get('load_from') or '.')).is_file():
        cfg.load_from, cfg.random_weights = None, True
        if detector and 'rcnn' in cfg.model.test_cfg:
            # Heads of a second stage shall run all the same.
            cfg.model.test_cfg.rcnn.score_thr = 0.0
    elif cfg.load_from:
        cfg.load_from = str(ROOT / cfg.load_from)
    pack = dict(type='PackDetInputs' if detector else 'PackInputs')
    noise = dict(type='iptq_mm.datasets.synthetic.NoiseImages', num_images=2)
    chosen = cfg.quantization
    chosen.calibration.num_images, chosen.calibration.batch_size = 2, 1
    chosen.calibration.dataloader = dict(
        dataset=dict(**noise, size=size, pipeline=[pack])
    )
    chosen.criterion, chosen.equalization = dict(type='sqnr'), []
    chosen.weight.rounding, chosen.weight.guided = dict(type='nearest'), False
    chosen.activation.search_images = chosen.activation.guard_images = 0
    chosen.activation.least_db = None
    path = folder / 'quick.py'
    cfg.dump(path)
    return path, size


def check(name, tool, tmp_path):
    config, size = quick(name, tmp_path)
    regions = Config.fromfile(config).quantization.regions
    ran = tool(config, '--shape', *size, '--json', 'audit.json')
    assert ran.code == 0, ran.err
    audit = json.loads((tmp_path / 'audit.json').read_text())
    found = {region['region'] for region in audit['regions']}
    for region in regions:  # of a list of modules each is a region
        assert region in found or {f'{region}.{i}' for i in range(3)} <= found
    for part in audit['outside']:
        assert part['path'] not in found or not part['parameters'] and part['helpers']


def test_a_small_preset(tool, tmp_path):
    check(SMALL, tool, tmp_path)


@pytest.mark.presets
@pytest.mark.parametrize('name', PRESETS)
def test_presets(name, tool, tmp_path):
    check(name, tool, tmp_path)
