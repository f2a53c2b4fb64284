"""The plan: everything that quantization decided, in plain types.

It is written as JSON beside the checkpoint and travels inside it; together with
the integer parameters it determines every bit of the quantized model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .intmath import QParams
from .intmath.qparams import as_float32
from .pixels import Pixels
from .utils.files import atomic_write

#: Raised when the meaning of a field changes.
PLAN_VERSION = 1


class PlanError(ValueError):
    """A plan that cannot be used: of another version, or for another model."""


@dataclass
class SitePlan:
    """The decisions for one site.

    Attributes:
        operation: Kind of the operation.
        output: Quantizer of the output.
        inputs: Quantizer that an operand is brought to first, by its position;
            operands not named are taken as they are.
        function: Registry dict of the integer function (non-linear sites).
        constants: Its integer constants, where they do not depend on
            parameters: ints or lists of ints.
        made_for: Quantizer of the input that they were made for. A mask may
            bring inputs beyond it, which get constants of their own.
        input_powers: Power of two by which each channel of the first operand is
            multiplied, once it is what ``inputs`` says.
    """

    operation: str
    output: QParams
    inputs: dict[int, QParams] = field(default_factory=dict)
    function: dict[str, Any] | None = None
    constants: dict[str, Any] | None = None
    made_for: QParams | None = None
    input_powers: list[int] | None = None

    def constants_for(self, x: Any) -> dict[str, Any] | None:
        """The constants, if they serve an input of this quantizer."""
        made = self.made_for
        if self.constants is None or made is None or not isinstance(x, QParams):
            return self.constants
        within = made.qmin <= x.qmin and x.qmax <= made.qmax
        return self.constants if x.scale == made.scale and within else None

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        data: dict[str, Any] = {
            'operation': self.operation,
            'output': _scaled(self.output.to_dict()),
        }
        if self.inputs:
            data['inputs'] = {
                str(i): _scaled(q.to_dict()) for i, q in self.inputs.items()
            }
        if self.function:
            data['function'] = dict(self.function)
        if self.constants:
            data['constants'] = {
                k: v.tolist() if isinstance(v, Tensor) else v
                for k, v in self.constants.items()
            }
        if self.made_for:
            data['made_for'] = self.made_for.to_dict()
        if self.input_powers:
            data['input_powers'] = list(self.input_powers)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SitePlan:
        """Inverse of :meth:`to_dict`."""
        constants = data.get('constants')
        if constants:
            constants = {
                k: torch.tensor(v, dtype=torch.int64) if isinstance(v, list) else v
                for k, v in constants.items()
            }
        return cls(
            data['operation'],
            _qparams(data['output']),
            {int(i): _qparams(q) for i, q in data.get('inputs', {}).items()},
            data.get('function'),
            constants,
            QParams.from_dict(data['made_for']) if 'made_for' in data else None,
            _powers(data['input_powers']) if 'input_powers' in data else None,
        )


@dataclass
class ParameterPlan:
    """How one parameter became integers.

    Attributes:
        role: What it is to the sites: weight, bias, norm or table.
        bits: Bits of an integer.
        shape: Its shape.
        scale: One number, or one for each output channel (role weight).
    """

    role: str
    bits: int
    shape: tuple[int, ...]
    scale: float | list[float]

    @property
    def bound(self) -> int:
        """Largest magnitude of an integer."""
        return 2 ** (self.bits - 1) - 1

    def scales(self) -> Tensor:
        """The scale as a float64 tensor, shape () or (out_channels,)."""
        return torch.tensor(self.scale, dtype=torch.float64)

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return _scaled(
            {
                'role': self.role,
                'bits': self.bits,
                'shape': list(self.shape),
                'scale': self.scale,
            }
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ParameterPlan:
        """Inverse of :meth:`to_dict`."""
        scale = data['scale']
        scale = (
            [as_float32(s) for s in scale]
            if isinstance(scale, list)
            else as_float32(scale)
        )
        return cls(data['role'], data['bits'], tuple(data['shape']), scale)


@dataclass
class RegionPlan:
    """The decisions for one region.

    Attributes:
        module: Class name of the region's module.
        inputs: Quantizer of each float tensor that enters, by its name.
        sites: Plans by site.
        parameters: Plans by parameter name within the region.
        pixels: How the images were normalized that enter as pixels, if they do.
        norms: By path of each batch norm that became part of a layer, the path of
            the layer.
    """

    module: str
    inputs: dict[str, QParams] = field(default_factory=dict)
    sites: dict[str, SitePlan] = field(default_factory=dict)
    parameters: dict[str, ParameterPlan] = field(default_factory=dict)
    pixels: Pixels | None = None
    norms: dict[str, str] = field(default_factory=dict)

    @property
    def powers(self) -> dict[str, list[int]]:
        """``input_powers`` of the sites that have them."""
        return {n: s.input_powers for n, s in self.sites.items() if s.input_powers}

    def check(self, region: str, module: nn.Module) -> None:
        """Make sure that the plan is for this module.

        Raises:
            PlanError: If it is not; the message says what differs.
        """
        shapes = {n: tuple(p.shape) for n, p in module.named_parameters()}
        differences = [
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
        """Plain types."""
        return {
            'version': PLAN_VERSION,
            'module': self.module,
            'pixels': self.pixels and self.pixels.to_dict(),
            'norms': dict(self.norms),
            'inputs': {n: _scaled(q.to_dict()) for n, q in self.inputs.items()},
            'sites': {n: s.to_dict() for n, s in self.sites.items()},
            'parameters': {n: p.to_dict() for n, p in self.parameters.items()},
        }

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
                {n: _qparams(q) for n, q in data['inputs'].items()},
                {n: SitePlan.from_dict(s) for n, s in data['sites'].items()},
                {n: ParameterPlan.from_dict(p) for n, p in data['parameters'].items()},
                Pixels.from_dict(data['pixels']) if data.get('pixels') else None,
                dict(data.get('norms', {})),
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


def save_plan(plans: Mapping[str, RegionPlan], path: str | os.PathLike) -> None:
    """Write the plans of all regions as JSON, one site or parameter a line."""
    regions = []
    for name, plan in plans.items():
        data = plan.to_dict()
        parts = [f'  "version": {data["version"]},\n  "module": "{data["module"]}"']
        for key in ('pixels', 'norms'):
            parts.append(f'  "{key}": {json.dumps(data[key])}')
        for key in ('inputs', 'sites', 'parameters'):
            lines = (
                f'    {json.dumps(n)}: {json.dumps(v)}' for n, v in data[key].items()
            )
            parts.append(f'  "{key}": {{\n' + ',\n'.join(lines) + '\n  }')
        regions.append(f'{json.dumps(name)}: {{\n' + ',\n'.join(parts) + '\n}')
    atomic_write(path, '{' + ',\n'.join(regions) + '}\n')


def load_plan(path: str | os.PathLike) -> dict[str, RegionPlan]:
    """Read what :func:`save_plan` wrote.

    Raises:
        PlanError: If the file is no plan, or of another version.
    """
    with open(path) as file:
        try:
            data = json.load(file)
        except ValueError as error:
            raise PlanError(f'{path} is not a plan: {error}') from error
    if not isinstance(data, dict) or not data:
        raise PlanError(f'{path} is not a plan: it names no region')
    try:
        return {name: RegionPlan.from_dict(plan) for name, plan in data.items()}
    except PlanError as error:
        raise PlanError(f'{path}: {error}') from error


def _scaled(data: dict[str, Any]) -> dict[str, Any]:
    """``data`` with its float32 scale in the fewest digits that determine it."""
    scale = data['scale']
    if isinstance(scale, list):
        data['scale'] = [float(str(np.float32(s))) for s in scale]
    else:
        data['scale'] = float(str(np.float32(scale)))
    return data


def _powers(data: list[int]) -> list[int]:
    if not all(isinstance(p, int) and 0 <= p < 16 for p in data):
        raise ValueError('input_powers are integers from 0 to 15')
    return data


def _qparams(data: Mapping[str, Any]) -> QParams:
    return QParams(as_float32(data['scale']), data['qmin'], data['qmax'])
