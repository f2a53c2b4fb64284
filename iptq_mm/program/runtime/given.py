"""Checks of what users give a program: tensors or arrays, type, shape and scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...modes.inputs.given import is_integers
from ..ir.graph import Port, Program
from ..ir.interface import interface

#: Positions of an image, by height and by width, that are checked for whole pixels.
_SAMPLES = 8
#: After the first call, one of so many rows of an image is checked.
_ROWS = 8
#: Mean distance of pixels from whole numbers that is accepted. Images in half precision
#: are 0.02 away, arbitrary floats 0.25.
_ROUGH = 0.15
#: An image that reaches so many times the calibrated range is not normalized. Pixels
#: of 0 to 255 reach a hundred times.
_FAR = 8.0


class _Wanted(NamedTuple):
    """The requirements of an input.

    Attributes:
        port: Its port.
        shape: Its shape.
        low, high: Bounds of floats; None: none.
    """

    port: Port
    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None


class Given:
    """Checks the inputs of a program.

    All elements of float images are checked at the first call, and those of some rows
    later: wrong scaling is wrong in every image.

    Args:
        program: The program.
    """

    def __init__(self, program: Program) -> None:
        self._program, self._first = program, True
        self._wanted = [
            _wanted(program, port, shape)
            for port, shape in zip(program.inputs, program.input_shapes, strict=True)
        ]

    def checked(self, reals: Sequence[Any]) -> list[Tensor]:
        """The inputs as tensors.

        Args:
            reals: Tensors or numpy arrays.

        Raises:
            TypeError: If one is neither.
            ValueError: If number, shapes, types or scale are wrong; the message says
                what the program takes.
        """
        given = [x if isinstance(x, Tensor) else self._tensor(x) for x in reals]
        if len(given) != len(self._wanted):
            shapes = [tuple(x.shape) for x in given]
            raise ValueError(
                f'the program was traced for inputs of {self._program.input_shapes}, '
                f'not {shapes}{self._all()}'
            )
        for i, (wanted, x) in enumerate(zip(self._wanted, given, strict=True)):
            wrong = _wrong(wanted, x, self._first)
            if wrong:
                raise ValueError(f'input {i}: {wrong}{self._all()}')
        self._first = False
        return given

    def _tensor(self, x: Any) -> Tensor:
        if not isinstance(x, np.ndarray):
            kind = type(x).__name__
            raise TypeError(
                f'an input of type {kind}: a tensor or numpy array is needed'
            )
        try:
            return torch.from_numpy(np.require(x, requirements=['C', 'W']))
        except TypeError:
            raise ValueError(f'an array of {x.dtype}{self._all()}') from None

    def _all(self) -> str:
        return f'\n{interface(self._program)}'


def _wanted(program: Program, port: Port, shape: tuple[int, ...]) -> _Wanted:
    if port.pixels is not None:
        low, high = port.pixels.real_range()
        return _Wanted(port, shape, low, high)
    if port.image is not None:
        value = program.values[port.value]
        far = _FAR * port.scale
        return _Wanted(port, shape, value.low * far, value.high * far)
    return _Wanted(port, shape)


def _wrong(wanted: _Wanted, x: Tensor, first: bool) -> str:
    """The error message about an input; empty if it is right."""
    if x.shape != wanted.shape:
        return _wrong_shape(wanted, tuple(x.shape))
    pixels = wanted.port.pixels
    if x.dtype == torch.uint8 and pixels is not None:
        return ''
    if wanted.port.given:
        if not is_integers(x):
            return f'an input of {x.dtype}: integers or booleans are needed'
        return ''
    if not x.is_floating_point():
        types = 'uint8 or floats' if pixels else 'floats'
        return f'an input of {x.dtype}: {types} are needed'
    if wanted.low is None or wanted.high is None or not x.numel():
        return ''
    seen = x if first else x[:, :, x.shape[2] % _ROWS // 2 :: _ROWS]
    seen = seen.detach()
    # torch 2.1 knows no extremes of half precision on the CPU.
    half = seen.dtype == torch.float16
    low, high = map(float, (seen.float() if half else seen).aminmax())
    if not (wanted.low <= low and high <= wanted.high):
        return (
            f'floats from {low:.6g} to {high:.6g} are no normalized image, which has '
            f'{wanted.low:.3g} to {wanted.high:.3g} at most'
        )
    if first and pixels is not None and not _whole(wanted, x):
        return (
            'turned back, these floats are no whole pixels: they were normalized '
            'in another way, or scaled to 0..1 only'
        )
    return ''


def _whole(wanted: _Wanted, x: Tensor) -> bool:
    """Whether floats become nearly whole pixels, by a few positions of each image."""
    pixels = wanted.port.pixels
    assert pixels is not None
    height, width = (-(-size // _SAMPLES) for size in wanted.shape[2:])
    some = x.detach()[:, :, height // 2 :: height, width // 2 :: width]
    exact = pixels.exact(some)
    away = (exact - exact.round()).abs_().masked_fill_(some == 0, 0.0)
    return float(away.mean()) <= _ROUGH


def _wrong_shape(wanted: _Wanted, shape: tuple[int, ...]) -> str:
    """The error message about a shape: what to do about it."""
    needed = wanted.shape
    said = f'the program was traced for shape {needed}, not {shape}'
    last = len(needed) == 4 and (needed[0], *needed[2:], needed[1])
    if shape == needed[1:]:
        return f'{said}: the number of images is missing, give x[None]'
    if last and shape in (last, last[1:]):
        axes = (0, 3, 1, 2) if len(shape) == 4 else (2, 0, 1)
        batch = '' if len(shape) == 4 else '[None]'
        return f'{said}: channels come first, give x.transpose{axes}{batch} (numpy)'
    return (
        f'{said}: export one for this size, or use the model (its session traces each '
        'size)'
    )
