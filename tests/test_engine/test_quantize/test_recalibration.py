"""Ranges taken again after the assignment, in whole runs."""

import pytest
import torch

from iptq_mm.engine.quantize import phases
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.plan import load_plan
from iptq_mm.record import RegionRecord

pytestmark = pytest.mark.usefixtures('one_thread')

#: Literal constants at 8-bit inputs, for which they were not made; all passes.
OPTIONS = {
    'quantization.calibration.recalibrate': 'order',
    'quantization.calibration.function_ranges': 'site',
    'quantization.wide.gelu': 8,
    'candidates.gelu': [dict(type='i_gelu', literal=True)],
    'quantization.on_mismatch': 'warn',
}


@pytest.mark.parametrize('name', ['swin', 'detector'])
def test_regions_of_all_kinds(name, request, tmp_path):
    """Heads whose calls depend on what is detected, regions that feed regions."""
    run = request.getfixturevalue(f'{name}_run')
    options = {**OPTIONS, 'quantization.calibration.function_ranges': None}
    if name == 'detector':
        regions = ['backbone', 'neck', 'rpn_head', 'roi_head.bbox_head']
        options['quantization.regions'] = regions
    results = quantize_and_compare(
        run.config, work_dir=str(tmp_path), cfg_options=options
    )
    assert results['seconds']['recalibrate'] > 0
    gelus = [
        site
        for plan in load_plan(tmp_path / 'plan.json').values()
        for site in plan.sites.values()
        if site.operation == 'gelu'
    ]
    assert gelus and all(site.constants for site in gelus)


def test_a_resumed_run_does_not_recalibrate_again(vit_run, tmp_path, monkeypatch):
    first, again = tmp_path / 'first', tmp_path / 'again'

    def fail(*args):
        raise InterruptedError

    quantize_and_compare(vit_run.config, work_dir=str(first), cfg_options=OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(phases, 'freeze_regions', fail)
        with pytest.raises(InterruptedError):
            quantize_and_compare(
                vit_run.config, work_dir=str(again), cfg_options=OPTIONS
            )
    for name in ('observe', 'analyse', 'recalibrate', 'try_ranges'):
        monkeypatch.setattr(phases, name, None)
    quantize_and_compare(
        vit_run.config, work_dir=str(again), cfg_options=OPTIONS, resume=True
    )
    assert (first / 'plan.json').read_text() == (again / 'plan.json').read_text()
    state = torch.load(again / 'calibration.pth', weights_only=True)
    record = RegionRecord.from_state_dict(state['records']['backbone'])
    assert record.function_limits


def test_an_interrupted_recalibration_begins_again(vit_run, tmp_path, monkeypatch):
    """Nothing of half a phase is kept: the passes before had other ranges."""
    first, again = tmp_path / 'first', tmp_path / 'again'
    original, calls = phases.recalibrate, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 3:
            raise InterruptedError
        return original(*args)

    quantize_and_compare(vit_run.config, work_dir=str(first), cfg_options=OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(phases, 'recalibrate', interrupted)
        with pytest.raises(InterruptedError):
            quantize_and_compare(
                vit_run.config, work_dir=str(again), cfg_options=OPTIONS
            )
    monkeypatch.setattr(phases, 'observe', None)
    quantize_and_compare(
        vit_run.config, work_dir=str(again), cfg_options=OPTIONS, resume=True
    )
    assert (first / 'plan.json').read_text() == (again / 'plan.json').read_text()
