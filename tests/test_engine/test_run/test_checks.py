"""Bad configs of users: each is told what to write, before anything is calibrated."""

from pathlib import Path

import pytest
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.run.checks import check_config
from iptq_mm.engine.run.pipeline import quantize_and_compare

# By name: the lines of a config that inherits a sound one, and what is said.
BAD = {
    'misspelt quantization': (
        'quantisation = dict(weight=dict(bits=4))',
        "has 'quantisation'.*did you mean 'quantization'",
    ),
    'misspelt candidates': (
        'candidate = dict(gelu=[dict(type="i_gelu")])',
        "has 'candidate'.*did you mean 'candidates'",
    ),
    'misspelt option': (
        'quantization = dict(weights=dict(bits=4))',
        "no option 'weights'.*did you mean 'weight'",
    ),
    'candidates in two places': (
        'quantization = dict(candidates=dict(gelu=[dict(type="i_gelu")]))',
        r'given twice.*candidates=dict\(_delete_=True\)',
    ),
    'unknown function': (
        'candidates = dict(gelu=[dict(type="i_gleu")])',
        "candidates.gelu: there is no .*'i_gleu'.*did you mean 'i_gelu'",
    ),
    'text for a number': (
        'quantization = dict(weight=dict(bits="8"))',
        "quantization.weight.bits='8': give an integer",
    ),
    'no such width': ('quantization = dict(wide=dict(bits=17))', 'wide.bits=17: use'),
    'an inherited tolerance': (
        'quantization = dict(criterion=dict(type="sqnr"))',
        r"'tolerance'.*criterion=dict\(_delete_=True, type='sqnr'",
    ),
    'an inherited percentile': (
        'quantization = dict(activation=dict(observer=dict(type="minmax")))',
        r"'percentile'.*observer=dict\(_delete_=True, type='minmax'",
    ),
    'no such region': (
        'quantization = dict(regions=["backbones"])',
        "region 'backbones' is not built by the config: .*'backbone'",
    ),
    'no such back end': ('backend = "nativ"', "'?nativ'?"),
    'a back end by another name': (
        'back_end = "native"',
        "has 'back_end'.*did you mean 'backend'",
    ),
    'no such class': (
        'model = dict(backbone=dict(type="VisionTransfomer"))',
        "no model 'VisionTransfomer' in the scope 'mmpretrain'.*custom_imports",
    ),
    'a lambda': (
        'train_dataloader = dict(collate_fn=lambda batch: batch)',
        r'^train_dataloader.collate_fn is <function .*cannot be written',
    ),
    'a class of the config': (
        'class Mine: pass\noptim_wrapper = dict(type=Mine)',
        r'^(Mine|optim_wrapper.type) is <class .*cannot be written',
    ),
    'nothing to evaluate': (
        'test_evaluator = None',
        'has no test_evaluator: nothing could be compared',
    ),
    'no checkpoint': ('load_from = None', 'no checkpoint: name one'),
}

BASE = """
_base_ = ['{config}']
quantization = dict(
    activation=dict(observer=dict(type='percentile', percentile=99.9)),
    criterion=dict(type='output_error', tolerance=0.05))
"""


@pytest.fixture
def child(vit_run, tmp_path):
    """Writes a config that inherits a sound one, with a few options more."""
    (tmp_path / 'base.py').write_text(BASE.format(config=vit_run.config))

    def write(text):
        (tmp_path / 'child.py').write_text(f"_base_ = ['base.py']\n{text}\n")
        return str(tmp_path / 'child.py')

    return write


def test_the_base_is_sound(child):
    path = child('')
    check_config(Config.fromfile(path), path)


@pytest.mark.parametrize('name', BAD)
def test_bad_configs(name, child, tmp_path):
    text, message = BAD[name]
    with pytest.raises(ConfigError, match=message):
        quantize_and_compare(child(text), work_dir=str(tmp_path / 'work'))
    # Neither log nor anything else: nothing was begun.
    assert not (tmp_path / 'work').exists()


# What inherits and means it.
GOOD = {
    'another criterion': (
        'quantization = dict(criterion=dict(_delete_=True, type="sqnr"))'
    ),
    'a mark where nothing is inherited': (
        'quantization = dict(wide=dict(_delete_=True, bits=12))'
    ),
    'candidates in quantization': (
        'candidates = dict(_delete_=True)\n'
        'quantization = dict(candidates=dict(gelu=[dict(type="i_gelu")]))'
    ),
    'infinities, types and classes': (
        'import torch\n'
        'optim_wrapper = dict(optimizer=dict(type=torch.optim.AdamW),'
        ' clip_grad=dict(norm_type=float("inf"), dtype=torch.float16))'
    ),
    'class names of other scripts': (
        'classes = ("猫", "犬", "{{x}}")\n'
        'test_dataloader = dict(dataset=dict(metainfo=dict(classes=classes)))'
    ),
    'two regions of one name': (
        'quantization = dict(regions=["backbone", "head", "backbone"])'
    ),
}


@pytest.mark.parametrize('name', GOOD)
def test_good_configs(name, child):
    path = child(GOOD[name])
    check_config(Config.fromfile(path), path)


def test_the_locale_does_not_matter(child, monkeypatch):
    """Text files have the encoding of the locale unless they are told."""
    real = Path.write_text

    def latin(self, data, encoding=None, **kwargs):
        return real(self, data, encoding or 'latin-1', **kwargs)

    path = child(GOOD['class names of other scripts'])
    monkeypatch.setattr(Path, 'write_text', latin)
    check_config(Config.fromfile(path), path)
