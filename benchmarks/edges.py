"""Where other tools round and order otherwise: how often, in figures.

python benchmarks/edges.py

What is not installed (onnxruntime, brevitas) is left out, and said so.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from iptq_mm.intmath import QParams, dyadic, requantize

#: Real numbers in the middle of two integers at the scale 1.
HALVES = (0.5, 1.5, 2.5, 3.5)


def quantize_per_tensor(x: Tensor, zero: int) -> Tensor:
    """The quantized tensors of torch: integers less the zero point."""
    codes = torch.quantize_per_tensor(x, 1.0, zero, torch.quint8).int_repr()
    return codes.int() - zero


def fake_quantize(x: Tensor, zero: int) -> Tensor:
    """The fake quantization of torch."""
    return torch.fake_quantize_per_tensor_affine(x, 1.0, zero, 0, 255).int()


def pt2e(x: Tensor, zero: int) -> Tensor:
    """The operator of exported PyTorch programs."""
    import torch.ao.quantization.fx._decomposed  # noqa: F401  (registers it)

    quantize = torch.ops.quantized_decomposed.quantize_per_tensor
    return quantize(x, 1.0, zero, 0, 255, torch.uint8).int() - zero


def quantize_linear(x: Tensor, zero: int) -> Tensor:
    """ONNX's QuantizeLinear in ONNX Runtime."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    constants = dict(scale=np.float32(1), zero=np.uint8(zero))
    graph = helper.make_graph(
        [helper.make_node('QuantizeLinear', ['x', 'scale', 'zero'], ['y'])],
        'quantize',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info('y', TensorProto.UINT8, x.shape)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=8
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider']
    )
    (codes,) = session.run(None, dict(x=x.numpy()))
    return torch.from_numpy(codes).int() - zero


def brevitas(x: Tensor, zero: int) -> Tensor:
    """The quantizer of Brevitas."""
    from brevitas.core.bit_width import BitWidthConst
    from brevitas.core.function_wrapper import RoundSte, TensorClamp
    from brevitas.core.quant import IntQuant

    quantizer = IntQuant(
        signed=False,
        narrow_range=False,
        float_to_int_impl=RoundSte(),
        tensor_clamp_impl=TensorClamp(),
        input_view_impl=torch.nn.Identity(),
    )
    one, zero_point = torch.tensor(1.0), torch.tensor(float(zero))
    return quantizer(one, zero_point, BitWidthConst(8)(), x).round().int()


def ours(x: Tensor, zero: int) -> Tensor:
    """This project: there is no zero point; a byte is the integer plus ``-qmin``."""
    return QParams(1.0, -zero, 255 - zero).quantize(x).int()


#: From real numbers and a zero point to what their codes stand for, at the scale 1.
QUANTIZERS: dict[str, Callable[[Tensor, int], Tensor]] = {
    'this project': ours,
    'torch.fake_quantize_per_tensor_affine': fake_quantize,
    'PT2E': pt2e,
    'ONNX Runtime, QuantizeLinear': quantize_linear,
    'torch.quantize_per_tensor': quantize_per_tensor,
    'Brevitas': brevitas,
}


def doubling_high_product(x: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    """``round(x * multiplier / 2**31)``, halves up: gemmlowp's first step."""
    product = x * multiplier
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    total = product + nudge
    return np.where(total >= 0, total >> 31, -((-total) >> 31))


def divided_by_power(x: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """``round(x / 2**exponent)``, halves away from 0: gemmlowp's second step."""
    mask = (np.int64(1) << exponent) - 1
    above = (x & mask) > (mask >> 1) + (x < 0)
    return (x >> exponent) + above


def requantized(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Accumulators that become bytes, requantized in four ways.

    Args:
        count: How many.
        seed: Of the random numbers.

    Returns:
        ``exact`` in float64, halves up; ``ours``, one rounding of 64 bits; ``gemmlowp``
        (TensorFlow Lite), two of 32; ``float32``, a float32 multiplier, halves to even.
    """
    rng = np.random.default_rng(seed)
    ratios = 2.0 ** rng.uniform(-11, -6, count)
    q = np.rint(rng.uniform(-128, 128, count) / ratios).astype(np.int64)
    factor = dyadic(torch.from_numpy(ratios))
    multiplier, shift = factor
    assert isinstance(shift, Tensor) and isinstance(multiplier, Tensor)
    narrow = q.astype(np.float32) * ratios.astype(np.float32)
    once = doubling_high_product(q, multiplier.numpy())
    return {
        'exact': np.floor(q * ratios + 0.5).astype(np.int64),
        'ours': requantize(
            torch.from_numpy(q), dyadic(torch.from_numpy(ratios))
        ).numpy(),
        'gemmlowp': divided_by_power(once, shift.numpy() - 31),
        'float32': np.rint(narrow).astype(np.int64),
    }


def clipped(observer: torch.nn.Module, batches: list[Tensor]) -> float:
    """Share of what an observer of torch saw that lies outside of its range."""
    for batch in batches:
        observer(batch)
    x = torch.cat([batch.flatten() for batch in batches])
    low, high = observer.min_val, observer.max_val
    return float(((x < low) | (x > high)).double().mean())


def batches(count: int = 32, seed: int = 0) -> list[Tensor]:
    """Batches of normal numbers of which some are spread wider than others."""
    generator = torch.Generator().manual_seed(seed)
    widths = torch.rand(count, generator=generator) + 0.5
    return [w * torch.randn(4096, generator=generator) for w in widths]


def moved_by_ties(boxes: int) -> int:
    """How many of some boxes with one score lose their place when torch sorts."""
    order = torch.full((boxes,), 0.5).argsort(descending=True)
    return int((order != torch.arange(boxes)).sum())


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--count', type=int, default=1 << 22, help='accumulators')
    args = parser.parse_args()
    warnings.filterwarnings('ignore')  # torch's, that this and that is deprecated
    x = torch.tensor(HALVES)
    print(f'halves {list(HALVES)} become, with the zero points 128 and 127:')
    for name, quantize in QUANTIZERS.items():
        try:
            made = [quantize(x, zero).tolist() for zero in (128, 127)]
        except ImportError as error:
            print(f'  {name}: left out ({error})')
            continue
        print(f'  {name}: {made[0]} {made[1]}')
    found = requantized(args.count)
    print(f'{args.count} requantizations, other than exact ones:')
    for name in ('ours', 'gemmlowp', 'float32'):
        other = int((found[name] != found['exact']).sum())
        rate = 1e6 * other / args.count
        most = int(abs(found[name] - found['exact']).max())
        print(f'  {name}: {rate:.2f} of a million, by {most} at most')
    from torch.ao.quantization import MinMaxObserver, MovingAverageMinMaxObserver

    for observer in (MinMaxObserver(), MovingAverageMinMaxObserver()):
        share = clipped(observer, batches())
        print(f'{type(observer).__name__} clips {share:.3%} of its calibration data')
    for boxes in (16, 17, 100, 1000):
        print(f'{boxes} equal scores: {moved_by_ties(boxes)} change places')
    return 0


if __name__ == '__main__':
    sys.exit(main())
