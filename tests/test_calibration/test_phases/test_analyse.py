"""Every candidate tried at every site."""

import pytest
from region_models import CANDIDATES, config, plain_net, rows

from iptq_mm.calibration import analyse, assign, observe

pytestmark = pytest.mark.usefixtures('no_grad')


def test_analysis_can_be_done_again_with_other_candidates():
    net, cfg, batches = plain_net(), config(CANDIDATES), [rows()]
    records = observe(net, cfg, net, batches)
    analyse(net, cfg, records, net, batches)
    other = config({**CANDIDATES, 'layer_norm': [dict(type='ivit_layernorm')]})
    analyse(net, other, records, net, batches)
    plan = assign(net, other, records)['backbone']
    assert plan.sites['norm/layer_norm:0'].function == {'type': 'ivit_layernorm'}
