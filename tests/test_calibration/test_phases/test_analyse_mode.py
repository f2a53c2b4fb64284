"""What analysing tells of candidates: among it, how well they saw their input."""

import math

import pytest
import torch
from region_models import CANDIDATES, Custom, calibrated, config

from iptq_mm.calibration.phases.assign import choose_functions

#: One that takes 16 bits, one that narrows them to 8 first, and a literal form.
GELU = dict(
    CANDIDATES,
    gelu=[
        dict(type='interpolated_gelu'),
        dict(type='table_gelu'),
        dict(type='i_gelu', literal=True),
    ],
)
NAMES = {'interpolated_gelu', 'table_gelu', 'i_gelu(literal=True)'}


@pytest.fixture(scope='module')
def analysed():
    """A GELU whose input has a few large values, so that 8 bits tell little of it."""
    module = Custom(lambda self, x: torch.nn.functional.gelu(x))
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randn(4, 64, 8, generator=generator) for _ in range(3)]
    for batch in batches:
        batch[:, :2] *= 30
    module.norm = torch.nn.Identity()
    return calibrated(module, batches, config(GELU))[2]


def test_the_input_is_the_same_for_all_candidates(analysed):
    (errors,) = analysed.candidates.values()
    assert errors.keys() == NAMES
    for figure in ('input_signal', 'input_error', 'input_ratio'):
        assert len({getattr(e, figure) for e in errors.values()}) == 1
    # As the plan has it, at 16 bits; at 8 bits there are 40 dB less.
    assert errors['table_gelu'].input_sqnr_db > 70


def test_what_narrowing_loses_belongs_to_the_function(analysed):
    (errors,) = analysed.candidates.values()
    narrow, wide = errors['table_gelu'], errors['interpolated_gelu']
    assert narrow.sqnr_db < wide.sqnr_db - 10
    for reading in ('degradation', 'absolute'):
        criterion = dict(type='sqnr_difference', reading=reading)
        chosen = choose_functions(analysed, config(GELU, criterion=criterion))
        assert list(chosen.values()) == ['interpolated_gelu']
    best = max(errors, key=lambda name: errors[name].asqnr)
    assert best == 'interpolated_gelu' and math.isfinite(wide.asqnr)
