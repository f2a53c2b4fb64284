"""Learning the parameters of one part, on the forward pass of the integers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from mmengine import dist
from torch import Tensor, nn

from ...intmath import QParams
from ...modes import bound_region
from ...modes.integer import Integer
from ...modes.part import parameters_of, run_part
from ...modes.training import Training
from ...modes.training.masters import master_of, step_of
from ...modes.training.mode import integers_of
from ...operations import WEIGHTS
from ...qtensor import QTensor
from ...qtensor.carried import Carried, carrier
from ..config.parts import ReconstructionConfig
from .calls import Form, Value, qtensors
from .kept import Kept


@dataclass(frozen=True)
class Sample:
    """A call of a part, on a batch.

    Attributes:
        form: Its arguments.
        inputs: The QTensors among them, as the integer model makes them.
        real: Their real values in the float model; empty if they are not used.
        targets: The real values that it returns in the float model.
        weights: How much the error of each element of a target counts; broadcasts.
    """

    form: Form
    inputs: Sequence[Value]
    real: Sequence[Kept]
    targets: Sequence[Kept]
    weights: Sequence[Tensor]


class Learner:
    """The float parameters of a part, and what trains them.

    Forward, the part computes the integers that the parameters stand for, from the
    integers that the parts before it return. The error is that of what it returns to
    what it returns in the float model, as in BRECQ (Li et al., arXiv 2102.05426): it
    makes up for errors of the parts before it, too. Gradients are straight-through.

    Args:
        module: The module of the region, in integer mode.
        path: Path of the part.
        config: How it learns.
        wanted: The real parameters of the region, by name.
    """

    def __init__(
        self,
        module: nn.Module,
        path: str,
        config: ReconstructionConfig,
        wanted: Mapping[str, Tensor],
    ) -> None:
        region = bound_region(module)
        assert region is not None and isinstance(region.mode, Integer)
        self._module, self._path, self._config = module, path, config
        self._integer = region.mode
        self._training = Training(region.mode.plan)
        self.integers = parameters_of(module, path)
        self._masters: dict[str, nn.Parameter] = {}
        groups = []
        for name, integers in self.integers.items():
            # Starting at the real weight would undo, at the first step, what the
            # rounding did on purpose.
            master = master_of(self._integer, name, integers)
            self._masters[name] = master
            if region.mode.plan.parameters[name].role in WEIGHTS:
                step = step_of(self._integer, name, integers)
                rate = config.rate * float(step.mean())
            else:
                real = wanted[name].detach().double()
                rate = config.wide_rate * float(real.square().mean().sqrt())
            groups.append({'params': [master], 'lr': rate, 'full': rate})
        self._adam = torch.optim.Adam(groups, foreach=False)

    def learn(self, samples: Sequence[Sample], seed: int) -> tuple[float, float]:
        """Learn, and write the integers into the module if they are better.

        Args:
            samples: The calls of the part. Ranks have different ones, and learn
                together.
            seed: Of what is random.

        Returns:
            The error before and after, see :meth:`error`.
        """
        before = self.error(samples)
        kept = {n: p.detach().clone() for n, p in self.integers.items()}
        generator = torch.Generator().manual_seed(seed)
        steps = max(dist.all_gather_object(len(samples)))
        for epoch in range(self._config.epochs):
            order = torch.randperm(max(len(samples), 1), generator=generator).tolist()
            for i in range(steps):
                progress = (epoch * steps + i) / (self._config.epochs * steps)
                sample = samples[order[i % len(order)]] if samples else None
                self._step(sample, 0.5 * (1 + math.cos(math.pi * progress)), generator)
        self._write(self._learned())
        after = self.error(samples)
        if after < before:
            return before, after
        self._write(kept)
        return before, before

    @torch.no_grad()
    def error(self, samples: Sequence[Sample]) -> float:
        """The weighted squared error over that of zeros, over the calls of all ranks.

        Raises:
            ValueError: If it is not finite.
        """
        sums = torch.zeros(2, dtype=torch.float64)
        for sample in samples:
            loss = float(self._loss(self._integer, sample, None))
            signal = sum(
                float((t.read().square() * w).sum())
                for t, w in zip(sample.targets, sample.weights, strict=True)
            )
            sums += torch.tensor([loss, signal], dtype=torch.float64)
        if dist.get_world_size() > 1:
            dist.all_reduce(sums)
        return float(sums[0] / sums[1]) if sums[1] else 0.0

    def _step(
        self, sample: Sample | None, share: float, generator: torch.Generator
    ) -> None:
        """One step of Adam, on one call of each rank.

        Args:
            sample: The call; None: this rank has none.
            share: Of the full learning rates.
            generator: Decides which inputs are those of the float model.
        """
        for group in self._adam.param_groups:
            group['lr'] = group['full'] * share
        self._adam.zero_grad()
        if sample is not None:
            with torch.enable_grad():
                self._loss(self._training, sample, generator).backward()
        for master in self._masters.values():
            if master.grad is None:
                master.grad = torch.zeros_like(master)
            if dist.get_world_size() > 1:
                dist.all_reduce(master.grad)
        self._adam.step()

    @torch.no_grad()
    def _learned(self) -> dict[str, Tensor]:
        """The integers that the float parameters stand for."""
        return {
            name: integers_of(self._training.parameter(name, master)).payload
            for name, master in self._masters.items()
        }

    @torch.no_grad()
    def _write(self, integers: Mapping[str, Tensor]) -> None:
        """Write integers into the module, those of the first rank."""
        for name, parameter in self.integers.items():
            shared = integers[name].to(torch.int32)  # gloo sends no int16
            dist.broadcast(shared)
            parameter.copy_(shared)

    def _loss(
        self, mode: Integer, sample: Sample, generator: torch.Generator | None
    ) -> Tensor:
        """The weighted squared error of a call."""
        training = isinstance(mode, Training)
        inputs = list(self._inputs(sample, training, generator))
        args, kwargs = sample.form.filled(inputs)
        masters = self._masters if training else None
        result = run_part(self._module, self._path, mode, args, kwargs, masters)
        losses = [
            ((_real(x) - target.read()).square() * weight).sum()
            for x, target, weight in zip(
                qtensors(result), sample.targets, sample.weights, strict=True
            )
        ]
        return torch.stack(losses).sum()

    def _inputs(
        self, sample: Sample, training: bool, generator: torch.Generator | None
    ) -> Iterator[QTensor]:
        """The inputs of a call; some elements are those of the float model, rounded.

        Source: QDrop, Wei et al., arXiv 2203.05740.
        """
        share = self._config.float_share
        for i, value in enumerate(sample.inputs):
            numbers = value.numbers.read()
            if generator is not None and share and isinstance(value.qparams, QParams):
                real = value.qparams.quantize(sample.real[i].read()).to(numbers.dtype)
                chosen = torch.rand(numbers.shape, generator=generator) < share
                numbers = torch.where(chosen.to(numbers.device), real, numbers)
            if training:
                assert isinstance(value.qparams, QParams)
                numbers = Carried.wrap(numbers.to(carrier(value.qparams)))
            yield value.tensor(numbers)


def _real(x: QTensor) -> Tensor:
    """Real values of a result, with its graph."""
    assert isinstance(x.qparams, QParams)
    if isinstance(x.payload, Carried):
        return x.payload.numbers.float() * x.qparams.scale
    return x.real_values()
