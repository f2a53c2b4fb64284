"""Learning the parameters of one part, on the forward pass of the integers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from mmengine import dist
from torch import Tensor, nn

from ...intmath import QParams
from ...modes import bound_region
from ...modes.integer import Integer
from ...modes.training import Training
from ...modes.training.install import towards
from ...modes.training.mode import Kernels, factors_by_name, integers_of
from ...modes.training.part import parameters_of, run_part
from ...qtensor import QTensor, WeightQParams
from ...qtensor.carried import Carried, carrier
from ..config.parts import ReconstructionConfig
from ..kept_tensors import Kept
from .calls import Form, Value, qtensors

#: Of so many calls, one judges what was learned.
_JUDGES = 8


@dataclass(frozen=True)
class Sample:
    """A call of a part, on a batch.

    Attributes:
        form: Its arguments.
        inputs: The QTensors among them, as the integer model makes them.
        real: Their real values in the float model; empty if they are not used.
        targets: The real values that it returns in the float model.
        metrics: For each target, what an error of it costs.
    """

    form: Form
    inputs: Sequence[Value]
    real: Sequence[Kept]
    targets: Sequence[Kept]
    metrics: Sequence[Callable[[Tensor], Tensor]]


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
        kernels: Computes sites faster than torch.
    """

    def __init__(
        self,
        module: nn.Module,
        path: str,
        config: ReconstructionConfig,
        wanted: Mapping[str, Tensor],
        kernels: Kernels | None = None,
    ) -> None:
        region = bound_region(module)
        assert region is not None and isinstance(region.mode, Integer)
        self._module, self._path, self._config = module, path, config
        self.integers = parameters_of(module, path)
        factors = factors_by_name(region.mode.plan, self.integers)
        self._mode = Training(region.mode.plan, factors=factors)
        self._mode.kernels = kernels
        self._masters: dict[str, nn.Parameter] = {}
        #: What 1 of a master stands for: a step of each weight, 1 of others.
        self._units: dict[str, Tensor] = {}
        groups = []
        for name, integers in self.integers.items():
            value = region.mode.parameter(name, integers)
            real = wanted[name].detach().double()
            if isinstance(value.qparams, WeightQParams):
                factor = factors.get(name, torch.ones((), dtype=torch.float64))
                step = value.qparams.grid(integers) * factor.to(integers.device)
                master = towards(integers.double() / factor, real / step)
                self._units[name], rate = step, config.rate
            else:
                master = value.real_values()
                rate = config.wide_rate * float(real.square().mean().sqrt())
            self._masters[name] = nn.Parameter(master.float())
            groups.append({'params': [self._masters[name]], 'lr': rate, 'full': rate})
        self._adam = torch.optim.Adam(groups, foreach=False)

    def learn(self, samples: Sequence[Sample], seed: int) -> tuple[float, float]:
        """Learn, and write the integers into the module if they are better.

        They are judged by calls that they have not learned from, one in eight: with
        few images, a part learns them by heart.

        Args:
            samples: The calls of the part. Ranks have different ones, and learn
                together.
            seed: Of what is random.

        Returns:
            The error before and after, see :meth:`error`.
        """
        samples, judges = _divided(samples)
        before = self.error(judges)
        generator = torch.Generator().manual_seed(seed)
        steps = max(dist.all_gather_object(len(samples)))
        for epoch in range(self._config.epochs):
            order = torch.randperm(max(len(samples), 1), generator=generator).tolist()
            for i in range(steps):
                progress = (epoch * steps + i) / (self._config.epochs * steps)
                sample = samples[order[i % len(order)]] if samples else None
                self._step(sample, 0.5 * (1 + math.cos(math.pi * progress)), generator)
        after = self.error(judges)
        if not after < before:
            return before, before
        self._write(self._learned())
        return before, after

    @torch.no_grad()
    def error(self, samples: Sequence[Sample]) -> float:
        """The weighted squared error over that of zeros, of all calls of all ranks."""
        sums = torch.zeros(2, dtype=torch.float64)
        for sample in samples:
            loss = float(self._loss(sample, None))
            signal = sum(
                float(metric(target.read()))
                for target, metric in zip(sample.targets, sample.metrics, strict=True)
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
                self._loss(sample, generator).backward()
        for master in self._masters.values():
            if master.grad is None:
                master.grad = torch.zeros_like(master)
            if dist.get_world_size() > 1:
                dist.all_reduce(master.grad)
        self._adam.step()
        self._damp(self._config.damping * share)

    @torch.no_grad()
    def _damp(self, share: float) -> None:
        """Move weights towards what their integers stand for.

        Without it, weights at the boundary of two integers go back and forth between
        them until the learning rate ends.

        Source: Nagel et al., arXiv 2203.11086, section 4.1, there a term of the loss.

        Args:
            share: Of the way.
        """
        for name in self._units if share else ():
            master, most = self._masters[name], self._mode.code(name)
            master.lerp_(master.round().clamp_(-most, most), share)

    def _real(self) -> dict[str, Tensor]:
        """The float parameters in real values."""
        return {
            name: (master.double() * self._units[name]).float()
            if name in self._units
            else master
            for name, master in self._masters.items()
        }

    @torch.no_grad()
    def _learned(self) -> dict[str, Tensor]:
        """The integers that the float parameters stand for."""
        return {
            name: integers_of(self._mode.parameter(name, real)).payload  # type: ignore[arg-type]
            for name, real in self._real().items()
        }

    @torch.no_grad()
    def _write(self, integers: Mapping[str, Tensor]) -> None:
        """Write integers into the module: those of the first rank."""
        for name, parameter in self.integers.items():
            shared = integers[name].to(torch.int32)  # gloo sends no int16
            dist.broadcast(shared)
            parameter.copy_(shared)

    def _loss(self, sample: Sample, generator: torch.Generator | None) -> Tensor:
        """The weighted squared error of a call.

        Args:
            sample: The call.
            generator: Decides which inputs are those of the float model; None: none.
        """
        args, kwargs = sample.form.filled(list(self._inputs(sample, generator)))
        result = run_part(
            self._module, self._path, self._mode, args, kwargs, self._real()
        )
        losses = [
            metric(_real(x) - target.read())
            for x, target, metric in zip(
                qtensors(result), sample.targets, sample.metrics, strict=True
            )
        ]
        return torch.stack(losses).sum()

    def _inputs(
        self, sample: Sample, generator: torch.Generator | None
    ) -> Iterator[QTensor]:
        """The inputs of a call; some elements are those of the float model, rounded.

        Source: QDrop, Wei et al., arXiv 2203.05740.
        """
        share = self._config.float_share
        for i, value in enumerate(sample.inputs):
            numbers = value.numbers.read()
            assert isinstance(value.qparams, QParams)
            if generator is not None and share:
                real = value.qparams.quantize(sample.real[i].read()).to(numbers.dtype)
                chosen = torch.rand(numbers.shape, generator=generator) < share
                numbers = torch.where(chosen.to(numbers.device), real, numbers)
            yield value.tensor(Carried.wrap(numbers.to(carrier(value.qparams))))


def _divided(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The calls to learn from and those to judge by; the same if there is one."""
    if len(samples) < 2:
        return samples, samples
    judging = set(range(_JUDGES - 1, len(samples), _JUDGES)) or {len(samples) - 1}
    return (
        [sample for i, sample in enumerate(samples) if i not in judging],
        [samples[i] for i in sorted(judging)],
    )


def _real(x: QTensor) -> Tensor:
    """Real values of a result, with its graph."""
    assert isinstance(x.qparams, QParams) and isinstance(x.payload, Carried)
    return x.payload.numbers.float() * x.qparams.scale
