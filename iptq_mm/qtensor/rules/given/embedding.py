"""The rule of embeddings: rows of a table, by token ids."""

from __future__ import annotations

from typing import Any

from torch.nn import functional as F

from ...errors import unsupported
from ...mode import Mode
from ...tensor import QTensor
from ..operands import run_operation
from ..table import TAKES_GIVEN, rule

TAKES_GIVEN.add(F.embedding)


# Rows by constant ids (positions) keep the scale of their table, so that the number of
# tokens changes no bit. Hence it is not folded, which would give them a scale of their
# own.
@rule(F.embedding)
def _embedding(
    mode: Mode,
    ids: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    *args: Any,
    **kwargs: Any,
) -> QTensor:
    if isinstance(weight, QTensor) and not isinstance(ids, QTensor):
        return weight[ids]  # type: ignore[return-value]
    if not isinstance(ids, QTensor) or ids.given is None:
        raise unsupported(
            'an embedding of numbers that are no integers given to the region has no '
            'rule'
        )
    if not isinstance(weight, QTensor) or not weight.constant or max_norm is not None:
        raise unsupported(
            'an embedding whose table is no parameter, or that limits its norm '
            '(max_norm), has no rule',
            'register the table as a parameter, with max_norm=None',
        )
    return run_operation(mode, 'embedding', [ids, weight], {})
