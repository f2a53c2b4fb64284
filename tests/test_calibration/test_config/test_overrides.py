"""Overrides as a config has them."""

import pytest
from region_models import SEVERAL, config

from iptq_mm.calibration import ConfigError


def read(*overrides, **options):
    return config(SEVERAL, overrides=list(overrides), **options).overrides


def test_what_an_override_says():
    bits, function = read(
        dict(where='backbone.layers.0', weight=dict(bits=3), activation=dict(bits=5)),
        dict(where='.*', function='poly_gelu'),
    )
    assert bits.bits == {'weight': 3, 'activation': 5}
    assert function.function == {'type': 'poly_gelu'} and not function.bits


def test_groups_alone_are_something_said():
    one, two = read(
        dict(where='.*', weight=dict(group=0)), dict(where='.*', weight=dict(bits=3))
    )
    assert one.precisions == two.precisions == ['weight']
    assert not one.bits and one.weight.group == 0


def test_a_pattern_matches_whole_names():
    (override,) = read(dict(where=r'backbone\.layers\.1', weight=dict(bits=4)))
    assert override.matches('neck', 'backbone.layers.1')
    assert not override.matches('backbone.layers.11', 'x.backbone.layers.1')


def test_a_function_may_have_options_of_its_own():
    literal = dict(type='i_gelu', literal=True)
    (override,) = read(dict(where='GELU', function=literal))
    assert override.function == literal


@pytest.mark.parametrize(
    ('override', 'message'),
    [
        ('backbone', 'is a dict with a pattern'),
        (dict(weight=dict(bits=4)), 'is a dict with a pattern'),
        (dict(where='a', bits=4), "no option 'bits'"),
        (dict(where='a', weight=dict(bit=4)), "did you mean 'bits'"),
        (dict(where='a', weight=4), 'weight is a dict'),
        (dict(where='a', weight=dict(bits=9)), 'use 2 to 8'),
        (dict(where='a', weight=dict(bits=16)), 'use 2 to 8'),
        (dict(where='a', weight=dict(group=1)), 'use 2 or more inputs'),
        (dict(where='a', weight=dict(bits=8, group=8)), 'with bits=8: use 2 or more'),
        (dict(where='a', activation=dict(group=8)), "no option 'group'"),
        (dict(where='a', activation=dict(bits=1)), 'use 2 to 8 or 16'),
        (dict(where='a', activation=dict(bits=12)), 'use 2 to 8 or 16'),
        (dict(where='a(', weight=dict(bits=4)), 'no regular expression'),
        (dict(where='a'), 'says nothing'),
        (dict(where='a', function='poly_gel'), "did you mean 'poly_gelu'"),
        (dict(where='a', function=dict(type='i_gelu', x=1)), "no option 'x'"),
        (dict(where='a', keep_float=True, weight=dict(bits=4)), 'keeps modules float'),
    ],
)
def test_mistakes(override, message):
    with pytest.raises(ConfigError, match='overrides') as error:
        read(override)
    assert message in str(error.value)


def test_no_list():
    with pytest.raises(ConfigError, match='is a list'):
        config(SEVERAL, overrides=dict(where='a'))


def test_functions_of_sites_have_no_place_in_a_whole_model_analysis():
    with pytest.raises(ConfigError, match="analysis='site'"):
        read(
            dict(where='.*', function='poly_gelu'),
            analysis='whole-model',
            criterion=dict(type='sqnr_difference'),
        )


def test_a_kept_state_is_one_of_these_overrides():
    plain = config(SEVERAL)
    other = config(SEVERAL, overrides=[dict(where='.*', weight=dict(bits=4))])
    assert plain.described() == repr(plain) == repr(other) != other.described()


def test_few_bits_are_said_to_be_unusual():
    given = config(
        SEVERAL,
        overrides=[
            dict(where='.*', weight=dict(bits=2), activation=dict(bits=8)),
            dict(where='.*', activation=dict(bits=3)),
        ],
    )
    weight, activation = given.unusual()
    assert 'overrides[0].weight.bits=2' in weight
    assert 'overrides[1].activation.bits=3' in activation
