"""How integers and additive masks that a region is given enter it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...intmath import QParams, storage_dtype
from ...qtensor import QTensor
from ...qtensor.errors import unsupported
from ...qtensor.hiding import ADDITIVE, is_additive_mask

#: Names of given integers, by their number among the integer arguments of a call.
GIVEN = 'given:'


def given_name(number: int) -> str:
    """The name of a tensor of integers or booleans that a region is given."""
    return f'{GIVEN}{number}'


def is_integers(x: Any) -> bool:
    """Whether ``x`` is a tensor of integers or booleans."""
    return isinstance(x, Tensor) and not (x.is_floating_point() or x.is_complex())


class GivenInputs:
    """The part of a mode that given integers and masks meet.

    Here, it is decided by the numbers what an input is; modes with a plan go by that.
    """

    def enter_given(self, name: str, value: Tensor) -> Tensor:
        """Integers or booleans that enter the region, at the scale 1.

        Args:
            name: Name of the input.
            value: The integers.

        Returns:
            A QTensor; or ``value`` itself if its numbers are read.
        """
        low, high = _extremes(value)
        return given_tensor(name, value, QParams(1.0, min(low, 0), max(high, 1)))

    def enter_mask(self, name: str, value: Tensor) -> QTensor | None:
        """An additive mask that enters the region; None if the input is none."""
        if not is_additive_mask(name, value):
            return None
        payload = ADDITIVE.dequantize(ADDITIVE.quantize(value))
        return mask_tensor(QTensor(payload, ADDITIVE, name))

    def real_of_given(self, x: QTensor) -> QTensor:
        """Given integers as floats; see :class:`iptq_mm.qtensor.mode.Mode`."""
        return _as_float(x, x.payload.float())

    def read_given(self, x: QTensor) -> Tensor:
        """The numbers of given integers; see :class:`iptq_mm.qtensor.mode.Mode`."""
        assert x.given is not None
        return x.payload.to(x.given)


class PlannedInputs(GivenInputs):
    """The same for modes whose plan says what the inputs are."""

    plan: Any

    def enter_given(self, name: str, value: Tensor) -> Tensor:
        """See the base class.

        Raises:
            ValueError: If a number is not what the plan allows, as a token id that the
                table of an embedding does not have.
        """
        qparams = self.plan.inputs.get(name)
        if qparams is None:
            return value
        check_given(name, value, qparams.qmin, qparams.qmax)
        return given_tensor(name, value, qparams)

    def enter_mask(self, name: str, value: Tensor) -> QTensor | None:
        """See the base class."""
        if self.plan.inputs.get(name) != ADDITIVE:
            return None
        return mask_tensor(QTensor(self._mask_payload(value), ADDITIVE, name))

    def _mask_payload(self, value: Tensor) -> Tensor:
        return ADDITIVE.dequantize(ADDITIVE.quantize(value))

    def read_given(self, x: QTensor) -> Tensor:
        """See the base class.

        Raises:
            UnsupportedOperationError: Always: calibration has seen no such use.
        """
        raise unsupported(
            f"the numbers of input '{x.source}' are read in a way that calibration has "
            'not seen',
            'calibrate with calls of every kind that is used',
        )


class IntegerInputs(PlannedInputs):
    """The same for modes that compute in integers."""

    def _mask_payload(self, value: Tensor) -> Tensor:
        return ADDITIVE.quantize(value)

    def real_of_given(self, x: QTensor) -> QTensor:
        """See the base class: they stay integers."""
        return _as_float(x, x.payload)


def check_given(name: str, value: Tensor, low: int, high: int) -> None:
    """Make sure that given integers are what a region takes.

    Raises:
        ValueError: If one is not.
    """
    least, most = _extremes(value)
    if low <= least <= most <= high:
        return
    raise ValueError(
        f"input '{name}' holds integers in {least}..{most}, and the region takes "
        f'{low}..{high}: ids are rows of the table of an embedding, masks hold 0 and 1'
    )


def _extremes(value: Tensor) -> tuple[int, int]:
    """Least and largest of integers or booleans; 0 and 0 if there are none."""
    if not value.numel():
        return 0, 0
    # torch knows no extremes of booleans.
    known = value if value.dtype != torch.bool else value.to(torch.uint8)
    low, high = known.aminmax()
    return int(low), int(high)


def given_tensor(name: str, value: Tensor, qparams: QParams) -> QTensor:
    """Given integers as a value of the region."""
    x = QTensor(value.to(storage_dtype(qparams.qmin, qparams.qmax)), qparams, name)
    x.given, x.exact = value.dtype, True
    return x


def mask_tensor(x: QTensor) -> QTensor:
    """An additive mask as a value of the region."""
    x.exact = True
    return x


def _as_float(x: QTensor, payload: Tensor) -> QTensor:
    other = x.like(payload)
    other.given = None
    return other
