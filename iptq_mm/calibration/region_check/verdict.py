"""Judges the errors of integer regions, and reports them."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from mmengine.logging import print_log

from ...plan import RegionPlan
from ...utils.decibels import decibels
from ..config import ConfigError, QuantizationConfig

#: How much worse than expected the values of a region may be, in dB. With sound
#: functions none was more than 3 dB worse: tiny ViT and Swin in five settings of 4 to
#: 8 bits, and DeiT-Tiny.
MARGIN = 10.0

#: By name of a value: sums of squares of the float values, of the integers' errors, of
#: those expected without and with the integer functions.
Sums = dict[str, list[float]]


@dataclass
class RegionCheck:
    """How a region's integers compare with floats.

    Attributes:
        integer_db: SQNR of its worst output.
        expected_db: What the quantization of its linear layers explains of it.
        site: The first value that is far worse than expected; '': none is.
        site_integer_db: SQNR there.
        site_expected_db: What was expected there.
        by_functions: Whether the functions of the plan explain it.
    """

    integer_db: float
    expected_db: float
    site: str = ''
    site_integer_db: float = 0.0
    site_expected_db: float = 0.0
    by_functions: bool = False


def judged(sums: Sums) -> RegionCheck:
    """The check of a region from its sums.

    Args:
        sums: In the order in which the values were made.
    """
    figures = {
        value: [decibels(signal, error) for error in errors]
        for value, (signal, *errors) in sums.items()
    }
    outputs = [f for value, f in figures.items() if value.startswith('output:')]
    integer, expected, emulated = min(
        outputs or [[decibels(0.0, 0.0)] * 3], key=lambda f: f[0] - f[1]
    )
    check = RegionCheck(integer, expected)
    if integer < expected - MARGIN:
        check.by_functions = integer >= emulated - MARGIN
        for value, (here, there, _) in figures.items():
            if here < there - MARGIN:
                check.site, check.site_integer_db = value, here
                check.site_expected_db = there
                break
    return check


def report(
    checks: dict[str, RegionCheck],
    plans: dict[str, RegionPlan],
    config: QuantizationConfig,
) -> dict[str, dict[str, Any]]:
    """Log the checks, and end the run if a region is wrong.

    Functions that the config left no choice about, or in the literal form of a paper,
    are the user's wish: what they spoil is never an error.

    Args:
        checks: By region.
        plans: By region.
        config: Its ``on_mismatch`` says what to do.

    Returns:
        The checks in plain types.

    Raises:
        ConfigError: If a region is far worse than its linear layers explain.
    """
    for name, check in checks.items():
        print_log(
            f"region '{name}': {check.integer_db:.1f} dB at its outputs, its linear "
            f'layers explain {check.expected_db:.1f} dB',
            'current',
        )
        if not check.site:
            continue
        wished = check.by_functions and _functions_are_wished(plans[name], config)
        if config.on_mismatch == 'error' and not wished:
            raise ConfigError(
                f'{_message(name, check)}; quantization.on_mismatch=warn, with '
                '--resume, lets it pass'
            )
        print_log(_message(name, check), 'current', logging.WARNING)
    return {name: _rounded(asdict(check)) for name, check in checks.items()}


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v, 2) if isinstance(v, float) else v for k, v in figures.items()}


def _functions_are_wished(plan: RegionPlan, config: QuantizationConfig) -> bool:
    functions = [site.function for site in plan.sites.values() if site.function]
    return (
        any(function.get('literal') for function in functions)
        or config.criterion['type'] == 'fixed'
        or any(override.function for override in config.overrides)
        or all(len(named) == 1 for named in config.candidates.values())
    )


def _message(name: str, check: RegionCheck) -> str:
    why = (
        'its integer functions do it: give other candidates'
        if check.by_functions
        else 'neither the bits nor the integer functions explain it: a module may '
        'compute with something that integers did not replace; please report it, or '
        'choose other quantization.regions'
    )
    return (
        f"region '{name}' is wrong in integers: {check.integer_db:.1f} dB at its "
        f'outputs where its linear layers explain {check.expected_db:.1f} dB; first at '
        f"'{check.site}', {check.site_integer_db:.1f} dB where they explain "
        f'{check.site_expected_db:.1f} dB; {why}'
    )
