"""Which parts of a model can run in integers, found by trying."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ...calibration import ConfigError
from ...calibration.evaluating import evaluating
from ...modes import running
from ...modes.base import FloatMode
from ...operations import Operation
from ...qtensor import QTensor, UnsupportedOperationError
from ...qtensor.context import describe_location
from .calling import Call
from .holder import WHOLE, held, stepping


def check_whole(model: nn.Module, call: Call, batch: Any) -> None:
    """Make sure that the whole model can be a region.

    Args:
        model: The user's model.
        call: Runs it on a batch.
        batch: A batch.

    Raises:
        ConfigError: If an operation of it has no rule. The message has the operation,
            and the largest parts that can be regions.
    """
    problem = _problem(model, WHOLE, call, batch)
    if problem is None:
        return
    parts = largest_regions(model, call, batch)
    advice = f'pass regions={parts}' if parts else 'no part of it can be quantized'
    raise ConfigError(
        f'the whole model cannot run in integers ({problem}); {advice}'
        + (", or regions='auto' for just these; all else stays float" if parts else '')
    )


def largest_regions(model: nn.Module, call: Call, batch: Any) -> list[str]:
    """The largest parts that have parameters and can be regions.

    Each is tried by itself, from the outside in: a part that cannot be a region is
    taken apart. Lists of modules are never called themselves.
    """
    found: list[str] = []

    def look(module: nn.Module, path: str) -> None:
        for name, child in module.named_children():
            inner = f'{path}.{name}' if path else name
            if not any(True for _ in child.parameters()):
                continue
            plain = isinstance(child, nn.ModuleList | nn.ModuleDict)
            if plain or _problem(model, inner, call, batch) is not None:
                look(child, inner)
            else:
                found.append(inner)

    look(model, '')
    return found


def _problem(model: nn.Module, region: str, call: Call, batch: Any) -> str | None:
    """Why a part cannot be a region; None if it can."""
    root, mode = held(model, [region]), _Trying()
    try:
        with (
            stepping(root, call),
            evaluating(root),
            running(root, {region: mode}),
        ):
            root.test_step(batch)  # type: ignore[operator]
    except UnsupportedOperationError as error:
        return str(error)
    return mode.problem()


class _Trying(FloatMode):
    """Floats, under the rules of integers."""

    def __init__(self) -> None:
        self._ran = False
        #: Where a given input was read, and which ones are ids of rows.
        self._read: dict[str, str] = {}
        self._ids: set[str] = set()

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        self._ran = True
        if operation.kind == 'embedding' and inputs[0] is not None:
            self._ids.add(inputs[0].source)
        return super().run(operation, inputs, attributes)

    def problem(self) -> str | None:
        """Why it cannot be a region; None if it can."""
        if not self._ran:
            return 'it never runs'
        for source in sorted(self._ids & self._read.keys()):
            where = self._read[source]
            return f'token ids are read by a function without a rule, in {where}'
        return None

    def read_given(self, x: QTensor) -> Tensor:
        """See the base class."""
        self._read[x.source] = describe_location()
        return super().read_given(x)
