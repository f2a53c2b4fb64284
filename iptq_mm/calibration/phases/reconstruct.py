"""The phase reconstruct: the blocks of integer regions learn the float outputs."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ...modes import bound_region
from ...modes.base import FloatMode
from ...modes.integer import Integer
from ...modes.part import parameters_of, run_part
from ...plan import RegionPlan
from ..batches import Forward
from ..config import QuantizationConfig
from ..config.parts import ReconstructionConfig
from ..evaluating import evaluating
from ..gradients import Differentiating
from ..reconstruction.calls import Value, qtensors
from ..reconstruction.kept import Memory
from ..reconstruction.learn import Sample, learn
from ..reconstruction.passes import arguments_of, exchanged
from ..reconstruction.survey import Part, Survey, called_parts

#: By name of a part: its integers, by name in the region.
Learned = dict[str, dict[str, Tensor]]


def reconstruct(
    model: nn.Module,
    settings: ReconstructionConfig,
    plans: Mapping[str, RegionPlan],
    twins: Mapping[str, nn.Module],
    forward: Forward,
    batches: Iterable[Any],
    learned: Learned | None = None,
    keep: Callable[[str], None] | None = None,
    only=None,
) -> dict[str, tuple[float, float]]:
    """Learn the integers."""
    run = Reconstruction(model, settings, plans, twins, forward, batches)
    return run.run({} if learned is None else learned, keep, only)


class Reconstruction:
    """A reconstruction in progress."""

    def __init__(self, model, settings, plans, twins, forward, batches) -> None:
        self.model, self.settings, self.plans = model, settings, plans
        self.twins, self.forward, self.batches = twins, forward, batches
        self.memory = Memory(settings.memory_limit_mb)

    def run(self, learned: Learned, keep, only=None):
        import time
        found = {}
        t0 = time.time()
        parts = self._survey()
        print('survey', time.time() - t0, [(p.path, p.links) for p in parts])
        ints: list[list[Value]] = []
        floats: list[list[Value]] = []
        targets: list[list[Value]] = []
        for before, part in zip([None, *parts], parts, strict=False):
            t0 = time.time()
            module = self.model.get_submodule(part.region)
            if part.links is not None:
                ints = self._following(before, part, ints)
                floats = [[t[i] for i in part.links] for t in targets]
            else:
                ints, floats, targets = [], [], []
                ints = self._captured(part)
                floats = self._captured_floats(part)
            targets = self._targets(part, floats)
            t1 = time.time()
            if part.name in learned:
                with torch.no_grad():
                    for name, p in parameters_of(module, part.path).items():
                        p.copy_(learned[part.name][name])
                continue
            if only is not None and part.name not in only:
                continue
            samples = self._samples(part, ints, floats, targets)
            twin = self.twins[part.region]
            seed = zlib.crc32(part.name.encode())
            errors = learn(module, part.path, samples, self.settings,
                           dict(twin.named_parameters()), seed)
            found[part.name] = errors
            learned[part.name] = {
                n: p.detach().clone() for n, p in parameters_of(module, part.path).items()}
            if keep:
                keep(part.name)
            print(part.name, part.links, '%.4g %.4g' % errors, 'ratio %.3f' % (errors[1]/errors[0]),
                  '%.1f %.1f s' % (t1-t0, time.time() - t1), self.memory.peak/2**20, flush=True)
        return found

    def _float_modes(self, draws=0):
        modes = {}
        for name, plan in self.plans.items():
            modes[name] = Differentiating(draws)
            modes[name].channel_shifts = plan.channel_shifts
        return modes

    def _survey(self):
        modes = self._float_modes(1 if self.settings.guided else 0)
        with exchanged(self.model, self.twins, self._float_modes()), evaluating(self.model):
            first = next(iter(self.batches))
            parts = called_parts(self.twins, self.forward, first, {})
        with exchanged(self.model, self.twins, modes):
            survey = Survey(parts, self.twins)
            survey.run(self.model, self.forward, self.batches)
        return survey.parts

    def _captured(self, part):
        module = self.model.get_submodule(part.name)
        found = arguments_of(module, self.model, self.forward, self.batches)
        return [[Value.of(x, self.memory) for x in qtensors(a)] for a in found]

    def _captured_floats(self, part):
        with exchanged(self.model, self.twins, self._float_modes()):
            return self._captured(part)

    @torch.no_grad()
    def _following(self, before, part, values):
        module = self.model.get_submodule(part.region)
        mode = bound_region(module).mode
        new = []
        for form, inputs in zip(before.forms, values, strict=True):
            args, kwargs = form.filled([v.tensor() for v in inputs])
            out = qtensors(run_part(module, before.path, mode, args, kwargs))
            new.append([Value.of(out[i], self.memory) for i in part.links])
            inputs.clear()
        return new

    @torch.no_grad()
    def _targets(self, part, values):
        twin = self.twins[part.region]
        mode = self._float_modes()[part.region]
        new = []
        for form, inputs in zip(part.forms, values, strict=True):
            args, kwargs = form.filled([v.tensor() for v in inputs])
            out = qtensors(run_part(twin, part.path, mode, args, kwargs))
            new.append([Value.of(x, self.memory) for x in out])
            if not self.settings.float_share:
                inputs.clear()
        return new

    def _samples(self, part, ints, floats, targets):
        samples = []
        weights = _weights(part, len(ints))
        for b, (form, i, f, t) in enumerate(zip(part.forms, ints, floats, targets, strict=True)):
            w = weights[b] if weights else [torch.ones(()) for _ in t]
            samples.append(Sample(form, i, [v.numbers for v in f], [v.numbers for v in t], w))
        return samples


def _weights(part: Part, batches: int):
    if not part.importance or any(len(i.rows) != batches for i in part.importance):
        return None
    total = sum(r.numel() for i in part.importance for r in i.rows)
    mean = sum(float(r.sum()) for i in part.importance for r in i.rows) / total
    weights = []
    for b in range(batches):
        found = []
        for i in part.importance:
            channels = i.channels / i.channels.mean()
            found.append((i.rows[b] / mean)[..., None] * channels)
        weights.append(found)
    return weights
