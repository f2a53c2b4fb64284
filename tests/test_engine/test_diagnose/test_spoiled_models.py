"""Models that were spoiled on purpose: the diagnosis names the spoiled layer first.

So does the report that their run wrote, from the figures of the run alone.
"""

import copy
import html
import shutil

import pytest
import tiny_models
import torch

from iptq_mm.calibration.planner import Planner
from iptq_mm.engine.diagnose import diagnose
from iptq_mm.engine.report.look import where_to_look
from iptq_mm.engine.report.sites import site_rows
from iptq_mm.engine.report.work_dir import read_work_dir
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.intmath import QParams
from iptq_mm.plan import RegionPlan, save_plan
from iptq_mm.plan.packed_state import PLAN_KEY

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('one_thread')]

GELU = 'layers.0.ffn.layers.0.1/gelu:0'


@pytest.fixture
def spoiled(tiny_data, tmp_path):
    """Quantizes the tiny ViT with a change to config or weights.

    Returns its diagnosis, and what the report names first.
    """

    def run(change=lambda cfg: None, weights=lambda state: None):
        cfg = tiny_models.vit(tiny_data / 'classification', 64)
        cfg.quantization = copy.deepcopy(cfg.quantization)
        cfg.quantization.on_mismatch = 'warn'
        change(cfg)
        config, checkpoint = tiny_models.write(cfg, tmp_path, 'spoiled')
        kept = torch.load(checkpoint, weights_only=True)
        weights(kept['state_dict'])
        torch.save(kept, checkpoint)
        quantize_and_compare(config, work_dir=str(tmp_path / 'run'))
        found = read_work_dir(tmp_path / 'run')
        first = where_to_look(found, site_rows(found))[0]
        text = html.unescape((tmp_path / 'run/report.html').read_text())
        shown = text[text.index('id="look"') :]
        assert first['where'] in shown[: shown.index('</li>')]
        return diagnose(tmp_path / 'run', count=2), first

    return run


def with_range(run, tmp_path, site, factor):
    """A work dir with another range at a site of the backbone."""
    folder = shutil.copytree(run.folder, tmp_path / 'changed')
    saved = torch.load(folder / 'integer.pth', weights_only=True)
    plans = {}
    for region in ('backbone', 'head'):
        key = f'{region}.{PLAN_KEY}'
        plans[region] = RegionPlan.from_tensor(saved['state_dict'][key])
    out = plans['backbone'].sites[site].output
    scale = out.scale * factor
    plans['backbone'].sites[site].output = QParams(scale, out.qmin, out.qmax)
    for region, plan in plans.items():
        saved['state_dict'][f'{region}.{PLAN_KEY}'] = plan.to_tensor()
    torch.save(saved, folder / 'integer.pth')
    save_plan(plans, folder / 'plan.json')
    return folder


@pytest.mark.parametrize(
    ('factor', 'words'), [(1 / 30, 'clips'), (40.0, 'times as wide as the values')]
)
def test_one_bad_range(vit_run, tmp_path, factor, words):
    site = 'layers.0.attn.qkv/linear:0'
    before = diagnose(vit_run.folder, count=2)
    causes = {(finding.where, finding.cause) for finding in before.findings}
    assert (f'backbone:{site}', 'range') not in causes
    found = diagnose(with_range(vit_run, tmp_path, site, factor), count=2)
    first = found.findings[0]
    assert first.error > 20 * max(effect.error for effect in before.effects)
    assert (first.where, first.cause) == (f'backbone:{site}', 'range')
    assert words in first.text and 'observer' in first.advice
    assert found.effects[0].site == f'backbone:{site}'
    assert f'1. backbone:{site}: range' in found.text()


@pytest.mark.parametrize(
    ('factor', 'words'),
    [(1 / 30, 'lie outside'), (40.0, 'times as wide as its values')],
)
def test_one_bad_range_in_the_report(spoiled, monkeypatch, factor, words):
    """A planner that errs at one site: what the run itself says about it."""
    site, plan = 'layers.0.attn.qkv/linear:0', Planner.plan

    def spoil(planner, *args, **kwargs):
        made = plan(planner, *args, **kwargs)
        if site in made.sites:
            q = made.sites[site].output
            made.sites[site].output = QParams(q.scale * factor, q.qmin, q.qmax)
        return made

    monkeypatch.setattr(Planner, 'plan', spoil)
    _, look = spoiled()
    assert (look['where'], look['cause']) == (f'backbone:{site}', 'range')
    assert words in look['text']


def test_one_outlier_channel(spoiled):
    """Of the output of a LayerNorm; the layer that reads it makes up for it."""

    def weights(state):
        for name in ('weight', 'bias'):
            state[f'backbone.layers.1.ln1.{name}'][7] *= 300
        state['backbone.layers.1.attn.qkv.weight'][:, 7] /= 300

    found, look = spoiled(weights=weights)
    assert look['where'] == 'backbone:layers.1.ln1/layer_norm:0'
    assert look['cause'] == 'outlier channel' and 'channel 7' in look['text']
    first = found.findings[0]
    assert first.where == 'backbone:layers.1.ln1/layer_norm:0'
    assert first.cause == 'outlier channel'
    assert 'channel 7' in first.text and 'equalization' in first.advice


def test_wrong_normalization_of_calibration_images(spoiled):
    def change(cfg):
        loader = copy.deepcopy(cfg.train_dataloader)
        twice = dict(type='Normalize', mean=[127.5] * 3, std=[64.0] * 3)
        loader.dataset.pipeline.insert(1, twice)
        cfg.quantization.calibration.dataloader = loader

    found, look = spoiled(change)
    assert (look['where'], look['cause']) == ('backbone:input:0', 'calibration images')
    first = found.findings[0]
    assert (first.where, first.cause) == ('backbone:input:0', 'calibration images')
    assert 'normalized' in first.text and 'mean and std' in first.advice


def test_too_few_images(spoiled):
    """One shows but a part of what the others have."""

    def change(cfg):
        cfg.quantization.calibration.num_images = 1

    found, look = spoiled(change)
    assert look['cause'] == 'too few images'
    first = found.findings[0]
    assert first.cause == 'too few images'
    assert first.text.startswith('1 calibration image, and')
    assert 'num_images' in first.advice
    assert 'outside of all that calibration saw' in first.text
    assert first.where in {e.site for e in found.effects} | {'backbone:input:0'}


def test_a_function_in_its_literal_form(spoiled):
    literal = dict(type='shift_gelu', literal=True)

    def change(cfg):
        cfg.quantization.overrides = [dict(where=f'backbone.{GELU}', function=literal)]

    found, look = spoiled(change)
    assert (look['where'], look['cause']) == (f'backbone:{GELU}', 'function')
    first = found.findings[0]
    assert (first.where, first.cause) == (f'backbone:{GELU}', 'function')
    assert 'shift_gelu' in first.text and 'literal' in first.text


def test_a_sound_detector_is_diagnosed(detector_run):
    """Effects are small, and every site has one."""

    def files():  # the log of the run may go on
        return {
            p: p.stat().st_mtime_ns
            for p in detector_run.folder.iterdir()
            if p.is_file()
        }

    before = files()
    found = diagnose(detector_run.folder, count=1)
    assert all(e.error < 0.1 for e in found.effects)
    assert len(found.effects) == len({e.site for e in found.effects}) > 20
    errors = [e.error for e in found.effects]
    assert errors == sorted(errors, reverse=True) and errors[0] > 0
    assert files() == before  # nothing is written
