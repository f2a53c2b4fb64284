"""Regions after quantization: integer against float, on the same inputs.

What linear layers, convolutions and products lose by quantization is known from the
plan, so that anything far worse comes from a fault: of this package, of a module that
keeps what it should not, or of a function that does not suit its site.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from mmengine import dist
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..calibration import ConfigError, QuantizationConfig
from ..calibration.evaluating import evaluating
from ..modes import Integer, Region, bind, bound_region
from ..modes.site_values import ExpectedValues, FloatValues, IntegerValues, Sampling
from ..plan import RegionPlan

#: A region's values may be so much worse than expected, in dB. Of sound functions in
#: every preset, with 4 to 8 bits, none was more than 3 dB worse.
MARGIN = 10.0
#: Calls of a region that are looked at: of a head, one for each level.
MAX_CALLS = 8

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


class RegionChecker:
    """Watches integer regions run, and lets float ones run beside them.

    Args:
        model: The float model, before its parameters become integers.
        names: The regions.
    """

    def __init__(self, model: nn.Module, names: Iterable[str]) -> None:
        self._twins = {name: _twin(model.get_submodule(name)) for name in names}
        self._calls = dict.fromkeys(self._twins, 0)
        self._sums: dict[str, Sums] = {name: {} for name in self._twins}

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[set[str]]:
        """Watch the integer model run.

        Yields:
            Names of the regions that ran.
        """
        ran: set[str] = set()
        handles: list[RemovableHandle] = []
        regions: list[tuple[Region, Integer]] = []
        try:
            for name in self._twins:
                module = model.get_submodule(name)
                region = bound_region(module)
                assert region is not None and isinstance(region.mode, Integer)
                regions.append((region, region.mode))
                handles.append(self._watch(name, module, region, region.mode, ran))
            yield ran
        finally:
            for handle in handles:
                handle.remove()
            for region, mode in regions:
                region.mode, region.on_output = mode, None

    def checks(self) -> dict[str, RegionCheck]:
        """What was seen on all ranks, by region that ran."""
        found = {}
        gathered = dist.all_gather_object(self._sums)
        for name in self._twins:
            sums: Sums = {}
            for rank in gathered:
                _add(sums, rank[name])
            if sums:
                found[name] = judged(sums)
        return found

    def _watch(
        self, name: str, module: nn.Module, region: Region, mode: Integer, ran: set[str]
    ) -> RemovableHandle:
        sampling = region.mode = IntegerValues(mode)
        arguments: list[tuple[tuple, dict]] = []

        def enter(_: nn.Module, args: tuple, kwargs: dict) -> None:
            arguments[:] = [(args, kwargs)]

        def leave(_: str, outputs: list[Tensor]) -> None:
            ran.add(name)
            values, ((args, kwargs),) = _all(sampling, outputs), arguments
            arguments.clear()
            self._calls[name] += 1
            if self._calls[name] <= MAX_CALLS:
                twin = self._twins[name]
                _add(self._sums[name], _compared(twin, mode.plan, values, args, kwargs))

        region.on_output = leave
        return module.register_forward_pre_hook(enter, with_kwargs=True, prepend=True)


def _compared(
    twin: nn.Module,
    plan: RegionPlan,
    integers: dict[str, Tensor],
    args: tuple,
    kwargs: dict[str, Any],
) -> Sums:
    """The sums of one call."""
    real = _run(twin, FloatValues(plan), args, kwargs)
    linear = _run(twin, ExpectedValues(plan), args, kwargs)
    found = {
        value: [_power(exact), _power(integers[value], exact), _power(v, exact)]
        for value, exact in real.items()
        if (v := linear.get(value)) is not None
        and value in integers
        and integers[value].shape == v.shape == exact.shape
    }
    emulated = linear
    if judged({value: [*sums, sums[-1]] for value, sums in found.items()}).site:
        emulated = _run(twin, ExpectedValues(plan, functions=True), args, kwargs)
    return {v: [*sums, _power(emulated[v], real[v])] for v, sums in found.items()}


def _power(x: Tensor, exact: Tensor | float = 0.0) -> float:
    return float((x.double() - exact).square().sum())


def _add(sums: Sums, added: Sums) -> None:
    for value, powers in added.items():
        before = sums.get(value, [0.0] * len(powers))
        sums[value] = [a + b for a, b in zip(before, powers, strict=True)]


def judged(sums: Sums) -> RegionCheck:
    """What the sums of a region say.

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
    """Say what was found, and end the run if something is wrong.

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
    return {name: asdict(check) for name, check in checks.items()}


def _functions_are_wished(plan: RegionPlan, config: QuantizationConfig) -> bool:
    functions = [site.function for site in plan.sites.values() if site.function]
    return (
        any(function.get('literal') for function in functions)
        or config.criterion['type'] == 'fixed'
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


def _run(
    twin: nn.Module, mode: Sampling, args: tuple, kwargs: dict[str, Any]
) -> dict[str, Tensor]:
    """The values of a call in a mode."""
    region, outputs = bound_region(twin), list[Tensor]()
    assert region is not None
    region.mode, region.on_output = mode, lambda _, found: outputs.extend(found)
    with evaluating(twin):
        twin(*args, **kwargs)
    return _all(mode, outputs)


def _all(mode: Sampling, outputs: list[Tensor]) -> dict[str, Tensor]:
    """The values of the sites in a call, and its outputs."""
    return mode.taken() | {f'output:{i}': x.detach() for i, x in enumerate(outputs)}


def _twin(module: nn.Module) -> nn.Module:
    """A copy of a region that shares the parameters, which nobody writes to."""
    memo = {id(p): p for p in module.parameters()}
    twin = copy.deepcopy(module, memo | {id(b): b.clone() for b in module.buffers()})
    bind(twin, Region('(float)', None))
    return twin


def decibels(signal: float, error: float) -> float:
    """10 log10 of the ratio, between -300 and 300."""
    if error == 0 or signal == 0:
        return 300.0 if error == 0 else -300.0
    if not math.isfinite(error):
        return -300.0
    return max(-300.0, min(10 * math.log10(signal / error), 300.0))
