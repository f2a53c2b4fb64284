"""Regions after quantization: integer against float, on the same inputs.

The plan determines the quantization error of linear layers, convolutions and products.
An error that is far larger has another cause: a bug of this package, a module that
keeps float tensors, or a function that does not suit its site.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mmengine import dist
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...kept_float import quantized_parameters
from ...modes import Integer, Region, bound_region
from ...qtensor import WeightQParams
from ..evaluating import evaluating
from ..twins import float_twins
from .expected_values import ExpectedValues, FloatValues, IntegerValues, Sampling
from .verdict import RegionCheck, Sums, judged

#: Steps that rounding moves a weight by, root mean square: 0.3 to the nearest, up to
#: 0.8 where errors of other weights are made up for.
FARTHEST = 1.5
#: Calls of a region that are looked at: of a head, one for each level.
MAX_CALLS = 8


class RegionChecker:
    """Watches integer regions run, and lets float ones run beside them.

    Args:
        model: The float model, before its parameters become integers.
        names: The regions.
    """

    def __init__(self, model: nn.Module, names: Iterable[str]) -> None:
        self._twins = float_twins(model, names)
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
        """The checks by region that ran, the same on all ranks.

        Of the ranks that ran a region the first one counts: its images are those that a
        single process looks at.
        """
        found = {}
        gathered = dist.all_gather_object(self._sums)
        for name in self._twins:
            sums = next((rank[name] for rank in gathered if rank[name]), None)
            if sums is not None:
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
            values = _all(sampling, outputs)
            if not arguments:  # forward was called by itself, and no hook
                return
            args, kwargs = arguments.pop()
            self._calls[name] += 1
            if self._calls[name] <= MAX_CALLS:
                twin = self._twins[name]
                added = _compared(twin, module, mode, values, args, kwargs)
                _add(self._sums[name], added)

        region.on_output = leave
        return module.register_forward_pre_hook(enter, with_kwargs=True, prepend=True)


def _compared(
    twin: nn.Module,
    module: nn.Module,
    integer: Integer,
    integers: dict[str, Tensor],
    args: tuple,
    kwargs: dict[str, Any],
) -> Sums:
    """The sums of one call."""
    plan = integer.plan
    real = _run(twin, FloatValues(plan), args, kwargs)

    def sums_of(mode: ExpectedValues) -> Sums:
        expected = _run(twin, mode, args, kwargs)
        return {
            value: [
                _power(exact),
                _power(integers[value], exact),
                _power(expected[value], exact),
            ]
            for value, exact in real.items()
            if value in expected
            and value in integers
            and integers[value].shape == expected[value].shape == exact.shape
        }

    found = sums_of(ExpectedValues(plan))
    if _is_suspicious(found):  # then the rounded weights may explain it
        own = _rounded(twin, module, integer)
        found = sums_of(ExpectedValues(plan, parameters=own))
        if _is_suspicious(found):
            emulated = sums_of(ExpectedValues(plan, True, own))
            return {v: [*sums, emulated[v][-1]] for v, sums in found.items()}
    return {v: [*sums, sums[-1]] for v, sums in found.items()}


def _rounded(twin: nn.Module, module: nn.Module, integer: Integer) -> dict[str, Tensor]:
    """Real values of weights and biases after rounding and bias correction.

    Weights that are many steps away from their float values are left out: they were not
    rounded but spoiled.
    """
    real, made = dict(twin.named_parameters()), {}
    for name, value in quantized_parameters(module):
        x = integer.parameter(name, value)
        found, role = x.real_values(), integer.plan.parameters[name].role
        if isinstance(x.qparams, WeightQParams):
            steps = (found - real[name]) / x.qparams.grid(found)
            if float(steps.square().mean()) < FARTHEST**2:
                made[name] = found
        elif role == 'bias':
            made[name] = found
    return made


def _is_suspicious(sums: Sums) -> bool:
    return bool(judged({v: [*powers, powers[-1]] for v, powers in sums.items()}).site)


def _power(x: Tensor, exact: Tensor | float = 0.0) -> float:
    return float((x.double() - exact).square().sum())


def _add(sums: Sums, added: Sums) -> None:
    for value, powers in added.items():
        before = sums.get(value, [0.0] * len(powers))
        sums[value] = [a + b for a, b in zip(before, powers, strict=True)]


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
