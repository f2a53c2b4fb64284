"""Rows of a table, by token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..intmath import QParams
from .base import ACTIVATION, EMBEDDING, Constants, Operation, SiteInputs


class Embedding(Operation):
    """Rows of a table, at the scale of the output.

    The constant is the table in the integers of the output, so that a call only copies
    rows. The output has the scale of the table if nothing wants fewer bits: then these
    are the integers of the parameter.
    """

    kind = 'embedding'
    roles = (ACTIVATION, EMBEDDING)

    def shape(
        self, shapes: Sequence[tuple[int, ...] | None], attributes: dict[str, Any]
    ) -> tuple[int, ...]:
        """See the base class."""
        ids, table = shapes
        assert ids is not None and table is not None
        return (*ids, table[1])

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class.

        Args:
            inputs: Ids (int, any shape) and the table, shape (rows, D).
            attributes: None.
        """
        ids, table = inputs
        return F.embedding(ids.long(), table)

    def prepare(self, site: SiteInputs) -> Constants:
        """See the base class.

        Raises:
            ValueError: If ids may be none of the rows.
        """
        ids, table = site.qparams[0], site.payloads[1]
        assert table is not None and isinstance(ids, QParams)
        rows = table.shape[0]
        if not 0 <= ids.qmin <= ids.qmax < max(rows, 2):
            raise ValueError(
                f'ids in {ids.qmin}..{ids.qmax} for a table of {rows} rows: give ids '
                'to the region as they are, without adding to them'
            )
        real = site.qparams[1].dequantize(table).double()
        made = (real / site.out.scale).round_()
        if rows == 1:  # a quantizer has two integers at least
            made = made.repeat(2, 1)
        return {'table': site.out.saturate(made.long())}

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """See the base class."""
        ids, table = inputs[0], constants['table']
        assert isinstance(table, Tensor)
        found = torch.index_select(table, 0, ids.flatten().long())
        return found.view(*ids.shape, table.shape[1]).to(torch.int32)
