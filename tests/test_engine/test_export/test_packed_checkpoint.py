"""Checkpoints of few bits: small, and mm's own tools load them."""

import pytest
import tiny_models
import tiny_runs
import torch

from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.plan.packed_state import SUFFIX, unpacked

pytestmark = [pytest.mark.usefixtures('one_thread'), pytest.mark.slow]


@pytest.fixture(scope='module', params=[0, 8])
def run(request, tiny_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp('packed')
    cfg = tiny_models.vit(tiny_data / 'classification')
    config, _ = tiny_models.write(cfg, folder, 'vit')
    options = {
        'quantization.weight.bits': 4,
        'quantization.weight.group': request.param,
        'quantization.weight.rounding': dict(type='nearest', _delete_=True),
    }
    results = quantize_and_compare(config, work_dir=str(folder), cfg_options=options)
    return folder, results, request.param


def test_mm_loads_it_packed_or_as_it_was(run, tmp_path):
    folder, results, group = run
    saved = torch.load(folder / 'integer.pth', weights_only=True)
    packed = saved['state_dict']
    whole = unpacked(packed)
    names = [key.removesuffix(SUFFIX) for key in packed if key.endswith(SUFFIX)]
    assert len(names) > 5
    size = sum(len(packed[name + SUFFIX]) - 1 for name in names)
    assert size / sum(whole[name].numel() for name in names) < (4.5 if group else 4) / 8
    # What earlier versions wrote.
    saved['state_dict'] = whole
    torch.save(saved, tmp_path / 'old.pth')
    found = [
        tiny_runs.run_test(
            folder / 'integer.py', tmp_path / str(i), load_from=str(checkpoint)
        )
        for i, checkpoint in enumerate((folder / 'integer.pth', tmp_path / 'old.pth'))
    ]
    assert tiny_runs.same(found[0][1], found[1][1])
    for metrics, _ in found:
        assert {k: round(v, 6) for k, v in metrics.items()} == results['integer']
