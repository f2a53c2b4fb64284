"""Tables of costs, and the choices that are made of them."""

import math

import pytest
import torch

from iptq_mm.calibration import ConfigError
from iptq_mm.calibration.phases.sensitivity.effects import SiteSensitivity
from iptq_mm.calibration.phases.sensitivity.forms import WeightForm, weight_forms
from iptq_mm.engine.search.budgets import read_budgets
from iptq_mm.engine.search.choices import product_units, total, uniform
from iptq_mm.engine.search.costs import (
    CostTable,
    lone_product,
    measured,
    products_of,
)
from iptq_mm.program.ir.shared_factors import shared_factors


def kernel(kind='linear', shapes=((1, 5, 16), (32, 16)), given=(0, 0)):
    output = [1, 5, 32] if kind == 'linear' else [1, 2, 5, 5]
    return {
        'kind': kind,
        'shapes': [list(shape) for shape in shapes],
        'output': output,
        'attributes': {},
        'given_bits': list(given),
        'out_bits': 16,
    }


def site(kind='linear', weight='a.weight', error=1e-3, **options):
    errors = {bits: [error * 4.0**-bits] * 2 for bits in (3, 4, 6, 8)}
    forms = weight_forms(errors, (0, 4, 8, 16))
    of_forms = {f: [error * 4.0**-f.bits * (f.group or 64)] * 2 for f in forms}
    return SiteSensitivity(
        kind,
        weight,
        512 if weight else 0,
        2560.0,
        kernel(kind, **options),
        of_forms if weight else {},
        dict(errors),
        4,
        4,
    )


ATTENTION = ((1, 2, 5, 5), (1, 2, 5, 8))
FOUND = {
    'backbone': {
        'a/linear:0': site(),
        'b/linear:0': site(weight='b.weight', error=1e-2),
        '/matmul:0': site('matmul', '', shapes=ATTENTION, given=(16, 0)),
    }
}


@pytest.fixture(scope='module')
def table():
    found = measured(FOUND)
    assert found.machine
    return found


def test_kernels_are_measured_once_each(table):
    # Two widths of weights and of inputs of one shape, and the product of attention.
    assert len(products_of(FOUND)) == len(table.nanoseconds) == 5
    assert all(10 < time < 1e9 for time in table.nanoseconds.values())
    assert table.has_all(FOUND) and not CostTable().has_all(FOUND)


def test_a_table_is_carried_to_another_machine(table, tmp_path):
    path = tmp_path / 'costs.json'
    table.save(path)
    assert CostTable.load(path) == table
    path.write_text(path.read_text().replace('"version": 1', '"version": 9'))
    with pytest.raises(ConfigError, match='version 9'):
        CostTable.load(path)
    path.write_text('[]')
    with pytest.raises(ConfigError, match='no table of costs'):
        CostTable.load(path)


def test_choices(table):
    units = product_units(FOUND, table, [3, 4, 8], [4, 8])
    assert [len(unit.choices) for unit in units] == [6, 6, 2]
    assert units[2].sites == ['backbone/matmul:0']
    first = units[0].choices[0]
    said = dict(weight=dict(bits=3, group=0), activation=dict(bits=4))
    assert first.override == said
    assert first.bytes == 512 * 3 / 8 and first.bit_operations == 2560 * 12
    same = uniform(units, 4, 8)
    assert total(same, 'bytes') == 512 and total(same, 'ms') > 0
    # A weight of 3 bits takes the kernel of 4.
    assert first.ms == units[0].choices[2].ms


def test_factors_of_groups_have_bytes(table):
    """Four bits for each group of 8 codes of 4 bits; none for codes of 8 bits."""
    units = product_units(FOUND, table, [4, 8], [8], group=8)
    four, eight = units[0].choices
    assert four.bytes == 512 * 4.5 / 8 and eight.bytes == 512
    (four, _), _, _ = (
        unit.choices for unit in product_units(FOUND, table, [4, 8], [8], group=16)
    )
    assert four.bytes == 512 * 4 / 8  # a row has 16 inputs: no group


def test_groups_are_a_choice(table):
    """The group is said of each weight that bears factors, whatever the config has."""
    units = product_units(FOUND, table, [4, 8], [8], 8, groups=[4, 16])
    found = {c.group: (c.weight, c.bytes) for c in units[0].choices[:3]}
    assert found == {4: (4, 320), 8: (4, 288), 16: (4, 256)}
    assert [c.own for c in units[0].choices] == [False, True, False, True]
    # Codes of 4 bits with other groups lie in bytes.
    times = [c.ms for c in units[0].choices]
    assert times[1] == times[2] and times[0] == times[3]
    eight = units[0].choices[3]
    assert (eight.weight, eight.group) == (8, None)
    first = units[0].choices[0]
    assert first.override['weight'] == dict(bits=4, group=4)
    assert eight.override['weight'] == dict(bits=8)
    losses = [choice.loss for choice in units[0].choices]
    assert losses[3] < losses[0] < losses[1] < losses[2]
    assert total(uniform(units, 4, 8), 'bytes') == 2 * 288


@pytest.mark.parametrize('group', [0, 4, 8, 12, 24, 64])
def test_groups_that_kernels_of_four_bits_have(group):
    """As the native back end packs them."""
    codes = torch.randint(
        -7, 8, (16, 1, 192), generator=torch.Generator().manual_seed(0)
    )
    factors = torch.tensor([1, 2, 3, 5, 7, 11, 13, 16])
    if group:
        codes *= factors[torch.arange(192) // group % 8]
    shared = shared_factors(codes.to(torch.int8))
    lone = lone_product(kernel(), WeightForm(4, group), 8)
    assert lone.bits[1] == (4 if int(shared.codes.abs().max()) <= 7 else 8)


def test_sites_that_share_a_weight_have_one_choice(table):
    shared = {'backbone': {'a/linear:0': site(), 'a/linear:1': site()}}
    (unit,) = product_units(shared, table, [4], [8])
    assert unit.sites == ['backbone.a/linear:0', 'backbone.a/linear:1']
    (alone,) = product_units({'backbone': {'a/linear:0': site()}}, table, [4], [8])
    assert unit.choices[0].loss == 2 * alone.choices[0].loss
    assert unit.choices[0].bytes == alone.choices[0].bytes


def test_what_a_table_or_a_measurement_lacks(table):
    other = {'backbone': {'a/linear:0': site(shapes=((1, 7, 16), (32, 16)))}}
    with pytest.raises(ConfigError, match='measure_costs'):
        product_units(other, table, [4], [8])
    with pytest.raises(ConfigError, match='was not measured'):
        product_units(FOUND, table, [5], [8])
    (unit, *_) = product_units(other, CostTable(), [4], [8])
    assert math.isnan(unit.choices[0].ms) and unit.choices[0].bytes == 256


def test_few_inputs_may_be_wide(table):
    wide = site()
    wide.activation_errors[16] = [0.0, 0.0]
    found = {'backbone': {'a/linear:0': wide, 'b/linear:0': site(weight='b.weight')}}
    units = product_units(found, table, [4], [8, 16])
    widths = [[choice.activation for choice in unit.choices] for unit in units]
    assert widths == [[8, 16], [8]]
    assert units[0].choices[1].loss < units[0].choices[0].loss


def test_budgets(table):
    units = product_units(FOUND, table, [3, 4, 8], [4, 8])
    assert read_budgets(['bytes=600', 'loss=1e-3,2e-3'], units) == [
        {'bytes': 600.0, 'loss': 1e-3},
        {'bytes': 600.0, 'loss': 2e-3},
    ]
    assert read_budgets(['bytes=W4A8'], units) == [{'bytes': 512.0}]
    found = read_budgets(['bytes=W4A8..W8A8/3'], units)
    assert [point['bytes'] for point in found] == [512.0, 768.0, 1024.0]


@pytest.mark.parametrize(
    'text', ['bytes', 'bytes=', 'size=3', 'ms=fast', 'ms=-1', 'ms=1..2/1', 'bytes=W5A8']
)
def test_budgets_that_are_none(table, text):
    units = product_units(FOUND, table, [4], [8])
    with pytest.raises(ConfigError):
        read_budgets([text], units)
