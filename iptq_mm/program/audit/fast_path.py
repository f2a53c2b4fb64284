"""What the fast products rely on, from the proof of the reference's.

The proof is about products in int64. What runs is faster (``intmath.product``, the
back ends), and equal to it under three conditions, which are checked here:

- No partial sum, in any order, exceeds the constant ``bound``: it decides which
  float's significand holds all of them, and that 32 bits do.
- ``middle`` brings the input into int8.
- Sums of unsigned bytes times the weight, as VNNI adds them up, fit 32 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..ir.graph import Node, Program
from .interval import Interval, Unproven

_BYTES = Interval(-128, 127)
_MOST_BYTE = 255


def check_fast_path(program: Program, node: Node, sums: Sequence[Interval]) -> None:
    """Make sure that a product may run in other units than int64's.

    Args:
        program: The program.
        node: One of its nodes.
        sums: What the partial sums of its products lie in.

    Raises:
        Unproven: If it may not.
    """
    reach = max((interval.bound for interval in sums), default=0)
    bound, middle = node.constants.get('bound'), node.constants.get('middle', 0)
    if sums and not isinstance(bound, int):
        raise Unproven(f'a partial sum may reach {reach}, and no constant bounds it')
    if isinstance(bound, int) and reach > bound:
        raise Unproven(
            f'a partial sum may reach {reach}, its constant bound says {bound}'
        )
    if not isinstance(middle, int):
        raise Unproven('its constant middle is no int')
    if node.kind not in ('linear', 'conv2d') or not node.values:
        return
    value = program.values[node.values[0]]
    moved = Interval(value.low - middle, value.high - middle)
    if middle and not _BYTES.holds(moved):
        raise Unproven(f'int8 does not hold the input less middle, {moved}')
    if _BYTES.holds(moved):
        for name in node.operands[1:]:
            if isinstance(name, str):
                _check_bytes(program.tensors[name])


def _check_bytes(weight: Tensor) -> None:
    """Raise Unproven if 32 bits might not hold a sum of bytes times the weight."""
    reach = _MOST_BYTE * int(weight.long().abs().flatten(1).sum(1).max())
    if reach >= 2**31:
        raise Unproven(f'a sum of bytes may reach {reach}, which 32 bits do not hold')
