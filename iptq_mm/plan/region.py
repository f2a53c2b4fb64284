"""The plan of a region, which refuses damaged data and other models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..intmath import QParams
from ..out_of_range import CalibratedRange
from ..pixels import Pixels
from .parameter import ParameterPlan
from .scales import read_qparams, with_short_scale
from .site import SitePlan

#: Increased when the meaning of a field changes.
PLAN_VERSION = 1


class PlanError(ValueError):
    """A plan that cannot be used: damaged, of another version, or for another model."""


@dataclass
class RegionPlan:
    """The decisions for one region.

    Attributes:
        module: Class name of the region's module.
        inputs: Quantizers of the float tensors that enter, by input name.
        sites: Plans by site.
        parameters: Plans by parameter name within the region.
        pixels: Normalization of the images, if they enter as pixels.
        norms: Batch norms that were folded into a layer: path of the batch norm to path
            of the layer.
        calibrated: What calibration saw outside of the range of each quantizer, by its
            name in an :class:`~iptq_mm.out_of_range.OutOfRangeLog`; of others, nothing.
            No integer depends on it. None: unknown, as in plans of versions before 0.3.
        kept_float: Paths of the modules in the region that stay float.
    """

    module: str
    inputs: dict[str, QParams] = field(default_factory=dict)
    sites: dict[str, SitePlan] = field(default_factory=dict)
    parameters: dict[str, ParameterPlan] = field(default_factory=dict)
    pixels: Pixels | None = None
    norms: dict[str, str] = field(default_factory=dict)
    calibrated: dict[str, CalibratedRange] | None = None
    kept_float: list[str] = field(default_factory=list)

    @property
    def channel_shifts(self) -> dict[str, list[int]]:
        """The ``input_shifts`` of the sites that have them, by site."""
        return {n: s.input_shifts for n, s in self.sites.items() if s.input_shifts}

    def check(self, region: str, module: nn.Module) -> None:
        """Make sure that the plan is for this module.

        Raises:
            PlanError: If it is not; the message says what differs.
        """
        known = {name for name, _ in module.named_modules()}
        missing = [path for path in self.kept_float if path not in known]
        kept = tuple(f'{path}.' for path in self.kept_float)
        shapes = {
            n: tuple(p.shape)
            for n, p in module.named_parameters()
            if not n.startswith(kept)
        }
        differences = [f"module '{path}', kept float, is missing" for path in missing]
        differences += [
            f"parameter '{name}' is {shapes.get(name, 'missing')} in the model and "
            f'{plan.shape} in the plan'
            for name, plan in self.parameters.items()
            if shapes.get(name) != plan.shape
        ]
        differences += [
            f"parameter '{name}' is unknown to the plan"
            for name in shapes.keys() - self.parameters.keys()
        ]
        if differences:
            raise PlanError(
                f"the plan for region '{region}' was made for another model "
                f'({self.module}): {differences[0]}'
                + (f' (and {len(differences) - 1} more)' if differences[1:] else '')
                + '; quantize this model with tools/quantize.py'
            )

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain types."""
        data = {
            'version': PLAN_VERSION,
            'module': self.module,
            'pixels': self.pixels and self.pixels.to_dict(),
            'norms': dict(self.norms),
            'inputs': {
                n: with_short_scale(q.to_dict()) for n, q in self.inputs.items()
            },
            'sites': {n: s.to_dict() for n, s in self.sites.items()},
            'parameters': {n: p.to_dict() for n, p in self.parameters.items()},
        }
        if self.calibrated is not None:
            data['calibrated'] = {n: c.to_list() for n, c in self.calibrated.items()}
        if self.kept_float:
            data['kept_float'] = list(self.kept_float)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RegionPlan:
        """Inverse of :meth:`to_dict`.

        Raises:
            PlanError: If the plan is of another version or no plan.
        """
        if not isinstance(data, Mapping):
            raise PlanError(f'not a plan: {type(data).__name__} in its place')
        if data.get('version') != PLAN_VERSION:
            raise PlanError(
                f'plan version {data.get("version")} cannot be read by this iptq_mm '
                f'(it reads {PLAN_VERSION}): quantize the model again'
            )
        try:
            return cls(
                data['module'],
                {n: read_qparams(q) for n, q in data['inputs'].items()},
                {n: SitePlan.from_dict(s) for n, s in data['sites'].items()},
                {n: ParameterPlan.from_dict(p) for n, p in data['parameters'].items()},
                Pixels.from_dict(data['pixels']) if data.get('pixels') else None,
                dict(data.get('norms', {})),
                _calibrated(data.get('calibrated')),
                [str(path) for path in data.get('kept_float', [])],
            )
        except KeyError as error:
            raise PlanError(f'not a plan: {error} is missing') from error
        except (AttributeError, TypeError, ValueError) as error:
            raise PlanError(f'not a plan, or a damaged one: {error}') from error

    def to_tensor(self) -> Tensor:
        """The plan as bytes in a uint8 tensor, for a state dict."""
        text = json.dumps(self.to_dict(), separators=(',', ':'))
        return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)

    @classmethod
    def from_tensor(cls, data: Tensor) -> RegionPlan:
        """Inverse of :meth:`to_tensor`."""
        try:
            return cls.from_dict(json.loads(bytes(data.cpu().numpy())))
        except ValueError as error:
            if isinstance(error, PlanError):
                raise
            raise PlanError(
                f'the plan in this checkpoint is damaged: {error}'
            ) from error


def _calibrated(data: Mapping[str, list] | None) -> dict[str, CalibratedRange] | None:
    if data is None:
        return None
    return {
        name: CalibratedRange(float(share), int(below), int(above))
        for name, (share, below, above) in data.items()
    }
