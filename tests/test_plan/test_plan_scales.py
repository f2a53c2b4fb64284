"""Scales in a plan: short, and the same float32 again."""

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from iptq_mm.intmath import QParams
from iptq_mm.intmath.qparams import as_float32
from iptq_mm.plan.scales import read_qparams, with_short_scale

scales = st.floats(2.0**-100, 2.0**100, width=32)


@given(scales)
def test_a_scale(scale):
    q = QParams(scale, -7, 8)
    text = json.dumps(with_short_scale(q.to_dict()))
    assert read_qparams(json.loads(text)) == q
    digits = Decimal(str(json.loads(text)['scale'])).normalize().as_tuple().digits
    assert len(digits) <= 9  # as many tell any two float32 apart


@given(st.lists(scales))
def test_many(many):
    data = with_short_scale({'role': 'weight', 'scale': many})
    assert [as_float32(s) for s in data['scale']] == many
    assert data['role'] == 'weight'
