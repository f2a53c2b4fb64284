"""Sites, inputs and watchers for the tests of the integer functions."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import iptq_mm.functions  # noqa: F401  (fills the registry)
from iptq_mm.functions import FunctionSite, IntegerFunction
from iptq_mm.intmath import QParams
from iptq_mm.registry import FUNCTIONS
from iptq_mm.utils.trees import tree_leaves

NAMES = sorted(FUNCTIONS.module_dict)
LITERAL_NAMES = [
    name
    for name in NAMES
    if 'literal' in inspect.signature(FUNCTIONS.get(name).__init__).parameters
]


def names_of(kind: str) -> list[str]:
    return [name for name in NAMES if FUNCTIONS.get(name).kind == kind]


def build(name: str, **options) -> IntegerFunction:
    return FUNCTIONS.build(dict(type=name, **options))


def sqnr(reference: Tensor, actual: Tensor) -> float:
    """10 log10 of signal power over error power, in dB."""
    error = (reference.double() - actual.double()).square().sum().clamp_min(1e-300)
    return float(10 * torch.log10(reference.double().square().sum() / error))


def quantizer(x: Tensor, bits: int, affine: bool = False) -> QParams:
    if affine:
        return QParams.asymmetric(float(x.min()), float(x.max()), bits)
    return QParams.symmetric(float(x.abs().max()), bits)


class Case:
    """One function at one site with one input, run and compared with floats.

    Attributes:
        real: The dequantized input, float64.
        reference: The float function of it.
        out: The integers that the function gives, saturated.
        actual: The same, dequantized.
    """

    def __init__(
        self, function, x, real, out_bits=16, affine=False, gamma=None, beta=None
    ):
        self.function, self.x, self.real = function, x, real.double()
        attributes = {}
        if function.kind == 'layer_norm':
            size = real.shape[-1]
            gamma = torch.ones(size) if gamma is None else gamma
            beta = torch.zeros(size) if beta is None else beta
            attributes = dict(gamma=gamma.double(), beta=beta.double())
        self.q = x.quantize(real)
        self.real = self.q.double() * x.scale
        self.reference = function.reference(self.real, **attributes)
        self.out_params = quantizer(self.reference, out_bits, affine)
        self.site = FunctionSite(x, self.out_params, **attributes)
        self.constants = function.prepare(self.site)
        raw = function.integer(self.q, self.constants)
        self.out = raw.clamp(self.out_params.qmin, self.out_params.qmax)
        self.actual = self.out.double() * self.out_params.scale
        self.error = (self.actual - self.reference).abs()

    @property
    def step(self) -> float:
        """Step of the output."""
        return self.out_params.scale


def typical(kind: str, bits: int, amax: float, seed: int = 0, size: int = 64) -> Tensor:
    """Random real inputs such as the operation sees, largest magnitude ``amax``."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(8, size, generator=generator, dtype=torch.float64)
    if kind == 'gelu':
        x = x * 1.5 - 0.8
    if kind == 'layer_norm':
        x[:, 3] *= 8  # an outlier channel
        x = x * (0.2 + torch.rand(8, 1, generator=generator)) + 0.3
    return x / x.abs().max() * amax


def adversarial(x: QParams, size: int = 33) -> Tensor:
    """Rows that overflow whatever can: limits, steps, one-hot, flat."""
    low, high = x.qmin, x.qmax
    rows = torch.zeros(9, size, dtype=torch.int64)
    rows[0, :] = high
    rows[1, :] = low
    rows[2, ::2], rows[2, 1::2] = low, high
    rows[3, 0], rows[3, 1:] = high, low
    rows[4, 0], rows[4, 1:] = low, high
    rows[5] = torch.linspace(low, high, size).long()
    rows[6, 0] = 1
    rows[7, ::2] = low + 1
    return rows.clamp_(low, high)


class IntegersOnly(TorchDispatchMode):
    """Fails where an operation takes or makes a floating-point tensor."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, out)):
            if isinstance(value, Tensor):
                assert not value.is_floating_point(), f'{func} with {value.dtype}'
            else:
                assert not isinstance(value, float), f'{func} with {value}'
        return out


class NoOverflow(TorchDispatchMode):
    """Fails where a sum, product or left shift of integers wraps around.

    Every such operation is done again in float64, whose relative error is far
    below what wrapping does. Shifts by more than the width are undefined, too.
    """

    BINARY = {
        'add': lambda a, b: a + b,
        'sub': lambda a, b: a - b,
        'rsub': lambda a, b: b - a,
        'mul': lambda a, b: a * b,
        'bitwise_left_shift': lambda a, b: a * 2.0**b,
    }

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func._overloadpacket.__name__.strip('_')
        if name in ('lshift', 'ilshift'):
            name = 'bitwise_left_shift'
        if name.endswith('shift'):
            width = 64
            if isinstance(args[0], Tensor) and args[0].dim():
                width = args[0].element_size() * 8
            amount = torch.as_tensor(args[1])
            assert int(amount.min()) >= 0 and int(amount.max()) < width, func
        expected, size = None, 0.0
        if name in self.BINARY:
            a, b = (torch.as_tensor(arg).double() for arg in args[:2])
            expected = self.BINARY[name](a, b)
            size = max(float(a.abs().max()), float(b.abs().max()))
        elif name == 'sum':
            a = args[0].double()
            expected = a.sum(*args[1:], **kwargs)
            size = float(a.abs().sum(*args[1:]).max())
        out = func(*args, **kwargs)
        if expected is not None:
            # What cancels was rounded before, at its own size.
            bound = (expected.abs() + size) * 1e-9 + 0.5
            assert ((out.double() - expected).abs() <= bound).all(), (
                f'{func} to {out.dtype} overflows: {expected.abs().max():.3g}'
            )
        return out
