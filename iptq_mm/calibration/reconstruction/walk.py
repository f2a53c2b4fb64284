"""From part to part: the values that enter each, and those that it should return."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from mmengine import dist
from torch import nn

from ...modes import bound_region
from ...modes.training.part import run_part
from ..batches import Forward
from ..kept_tensors import Memory
from .calls import Value, qtensors
from .importance import plain
from .learn import Sample
from .passes import FloatModel, NotReachedError, arguments_of
from .survey import Part

#: By batch, the QTensors that enter or leave a part.
Values = list[list[Value]]


class Walk:
    """Goes through the parts of a model in the order of their calls.

    At each part, it has the inputs of that part in the integer model as it is by then,
    and the inputs and outputs in the float model. If the inputs are what the part
    before returned, they are computed by that part alone; else a pass of the model up
    to the part finds them. So the values of one part are kept at a time.

    Where a model chooses what a part sees, as a detector its proposals, integers may
    choose otherwise, and what both return could not be compared. There the other
    regions of that pass are float.

    Args:
        model: The integer model.
        floats: Its float self.
        forward: Runs a batch of the integer model.
        batches: Calibration batches.
        memory: Where values are kept.
        with_real: Whether samples have the float inputs.
    """

    def __init__(
        self,
        model: nn.Module,
        floats: FloatModel,
        forward: Forward,
        batches: Iterable[Any],
        memory: Memory,
        with_real: bool = False,
    ) -> None:
        self._model, self._floats, self._forward = model, floats, forward
        self._batches, self._memory, self._with_real = batches, memory, with_real
        self._before: Part | None = None
        self._inputs: Values = []
        self._targets: Values = []

    def to(self, part: Part) -> None:
        """Go on to the next part; the one before has its final integers."""
        before, links = self._before, part.links
        if before is not None and links is not None:
            self._inputs = self._returned(before, self._inputs, links)
            real = [[values[i] for i in links] for values in self._targets]
        else:
            self._inputs, self._targets = [], []
            with self._floats.instead():
                real = self._arriving(part)
            self._inputs = self._of_the_same(part, real)
        self._targets = []
        twin = self._floats.twins[part.region]
        mode = self._floats.mode(part.region)
        self._real = real if self._with_real else []
        for form, values in zip(part.forms, real, strict=True):
            args, kwargs = form.filled([v.tensor() for v in values])
            with torch.no_grad():
                result = run_part(twin, part.path, mode, args, kwargs)
            self._targets.append(self._kept(qtensors(result)))
            if not self._with_real:
                values.clear()
        self._before = part

    def samples(self) -> list[Sample]:
        """The calls of the part."""
        part = self._before
        assert part is not None
        metrics = [metric or plain for metric in part.metrics()]
        found = []
        for i, (form, inputs, targets) in enumerate(
            zip(part.forms, self._inputs, self._targets, strict=True)
        ):
            found.append(
                Sample(
                    form,
                    inputs,
                    [v.numbers for v in self._real[i]] if self._real else [],
                    [v.numbers for v in targets],
                    metrics or [plain] * len(targets),
                )
            )
        return found

    def _returned(self, part: Part, inputs: Values, links: Sequence[int]) -> Values:
        """What a part returns in integers; drops its inputs."""
        module = self._model.get_submodule(part.region)
        region = bound_region(module)
        assert region is not None and region.mode is not None
        found: Values = []
        for form, values in zip(part.forms, inputs, strict=True):
            args, kwargs = form.filled([v.tensor() for v in values])
            with torch.no_grad():
                result = run_part(module, part.path, region.mode, args, kwargs)
            outputs = qtensors(result)
            values.clear()
            found.append(self._kept([outputs[i] for i in links]))
        return found

    def _of_the_same(self, part: Part, real: Values) -> Values:
        """What arrives in integers: of the same objects as what arrives in floats."""
        alone = len(self._floats.twins) == 1
        try:
            found = self._arriving(part)
            other = not alone and _others(found, real)
        except NotReachedError:  # nothing was found in an image, say
            if alone:
                raise
            other = True
        if any(dist.all_gather_object(other)):
            with self._floats.instead(but=part.region):
                found = self._arriving(part)
        return found

    def _arriving(self, part: Part) -> Values:
        """What arrives at a part in a pass of the model that stands there now."""
        module = self._model.get_submodule(part.name)
        passes = arguments_of(module, self._model, self._forward, self._batches)
        return [self._kept(qtensors(arguments)) for arguments in passes]

    def _kept(self, found: Sequence[Any]) -> list[Value]:
        return [Value.of(x, self._memory) for x in found]


def _others(found: Values, real: Values) -> bool:
    """Whether the rows of two models are of other objects.

    So it is if there are more or fewer of them, or if they differ by more than half of
    what a row differs from the next one.
    """
    apart = between = 0.0
    for mine, floats in zip(found, real, strict=True):
        for x, y in zip(mine, floats, strict=True):
            one, other = x.tensor().real_values(), y.numbers.read().double()
            if one.shape != other.shape:
                return True
            if one.dim() and len(one) > 1:
                apart += float((one - other).square().sum())
                between += float((other - other.roll(1, 0)).square().sum())
    return apart > between / 2
