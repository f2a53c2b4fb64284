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


def learn(
    module: nn.Module,
    path: str,
    samples: Sequence[Sample],
    config: ReconstructionConfig,
    wanted: Mapping[str, Tensor],
    seed: int,
) -> tuple[float, float]:
    """Learn the parameters of a part, in place.

    Args:
        module: The module of the region, in integer mode.
        path: Path of the part.
        samples: Its calls. The ranks have different ones, and learn together.
        config: How.
        wanted: The real parameters of the region, by name.
        seed: Of what is random.

    Returns:
        The error of the part before and after.
    """
    learner = _Learner(module, path, config, wanted)
    before = learner.error(samples)
    kept = {n: p.detach().clone() for n, p in learner.integers.items()}
    generator = torch.Generator().manual_seed(seed)
    steps = _most(len(samples))
    total = config.epochs * steps
    for epoch in range(config.epochs):
        order = torch.randperm(max(len(samples), 1), generator=generator).tolist()
        for i in range(steps):
            at = epoch * steps + i
            learner.rate(0.5 * (1 + math.cos(math.pi * at / total)))
            sample = samples[order[i % len(order)]] if samples else None
            learner.step(sample, generator)
    learner.write()
    after = learner.error(samples)
    if after >= before:
        learner.write(kept)
        after = before
    return before, after


class _Learner:
    """The float parameters of a part, and what trains them."""

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
            wide = self._training.plan.parameters[name].role not in WEIGHTS
            real = wanted[name].detach()
            master = master_of(self._integer, name, integers, real)
            self._masters[name] = master
            rate = config.rate * float(step_of(self._integer, name, integers).mean())
            if wide:
                size = float(real.double().square().mean().sqrt())
                rate = config.wide_rate * size
            groups.append({'params': [master], 'lr': rate, 'full': rate})
        self._adam = torch.optim.Adam(groups, foreach=False)

    def rate(self, share: float) -> None:
        """Set the learning rates to a share of the full ones."""
        for group in self._adam.param_groups:
            group['lr'] = group['full'] * share

    def step(self, sample: Sample | None, generator: torch.Generator) -> None:
        """One step of Adam, on one call on each rank; None: this rank has none."""
        self._adam.zero_grad()
        if sample is not None:
            with torch.enable_grad():
                loss, count = self._loss(self._training, sample, generator)
                loss.backward()
        for master in self._masters.values():
            if master.grad is None:
                master.grad = torch.zeros_like(master)
            if dist.get_world_size() > 1:
                dist.all_reduce(master.grad)
        self._adam.step()

    @torch.no_grad()
    def error(self, samples: Sequence[Sample]) -> float:
        """The mean weighted squared error over all calls of all ranks."""
        sums = torch.zeros(2, dtype=torch.float64)
        for sample in samples:
            loss, count = self._loss(self._integer, sample, None)
            sums += torch.tensor([float(loss) * count, count], dtype=torch.float64)
        if dist.get_world_size() > 1:
            dist.all_reduce(sums)
        return float(sums[0] / sums[1])

    @torch.no_grad()
    def write(self, integers: Mapping[str, Tensor] | None = None) -> None:
        """Write integers into the module; None: those that were learned."""
        for name, parameter in self.integers.items():
            if integers is None:
                learned = self._training.parameter(name, self._masters[name])
                new = integers_of(learned).payload.to(parameter.dtype)
            else:
                new = integers[name]
            parameter.copy_(new)
            dist.broadcast(parameter.data)

    def _loss(
        self, mode: Integer, sample: Sample, generator: torch.Generator | None
    ) -> tuple[Tensor, int]:
        training = isinstance(mode, Training)
        inputs = list(_inputs(sample, self._config.float_share, generator, training))
        args, kwargs = sample.form.filled(inputs)
        masters = self._masters if training else None
        result = run_part(self._module, self._path, mode, args, kwargs, masters)
        loss: Tensor = torch.zeros(())
        count = 0
        found = qtensors(result)
        for x, target, weight in zip(
            found, sample.targets, sample.weights, strict=True
        ):
            error = _real(x) - target.read()
            loss = loss + (error.square() * weight).sum()
            count += error.numel()
        return loss / max(count, 1), count


def _inputs(
    sample: Sample,
    share: float,
    generator: torch.Generator | None,
    training: bool,
) -> Iterator[QTensor]:
    """The inputs of a call; some elements are those of the float model, rounded.

    Source: QDrop, Wei et al., arXiv 2203.05740.
    """
    for i, value in enumerate(sample.inputs):
        numbers = value.numbers.read()
        if generator is not None and share and isinstance(value.qparams, QParams):
            rounded = value.qparams.quantize(sample.real[i].read()).to(numbers.dtype)
            chosen = torch.rand(numbers.shape, generator=generator) < share
            numbers = torch.where(chosen.to(numbers.device), rounded, numbers)
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


def _most(count: int) -> int:
    """The largest of the counts of all ranks."""
    return max(dist.all_gather_object(count))
