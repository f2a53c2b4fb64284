"""What candidate functions make of the integers of a site, as real values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ....functions import Constants, IntegerFunction
from ....intmath import QParams
from ....modes.blocks import in_blocks
from ....operations import NonLinear
from ....qtensor import QTensor

#: Computes a site with its function natively, see
#: :class:`iptq_mm.program.runtime.site_kernels.SiteKernels`; None: it has no kernel.
SiteKernel = Callable[..., Tensor | None]

#: Kinds whose results depend on one integer each, but for some published forms.
_BY_ELEMENT = ('gelu', 'unary')
#: Most bytes of the tables that are kept.
_MAX_BYTES = 2**25


class _Table(NamedTuple):
    """The results for all integers, and what they were made for."""

    qparams: QParams
    constants: Constants
    out: QParams
    values: Tensor


class CandidateValues:
    """Computes candidates, each in the way that takes the least time.

    An elementwise function is computed once for each integer that there may be, and
    looked up. Others are computed natively, if that is possible, or block by block.

    Args:
        configs: Registry dicts of functions, by ``id`` of what they were built to.
        kernel: Computes sites natively; None: nothing does.
    """

    def __init__(
        self,
        configs: Mapping[int, Mapping[str, Any]] | None = None,
        kernel: SiteKernel | None = None,
    ) -> None:
        self._configs, self._kernel = configs or {}, kernel
        self._tables: dict[tuple[str, int], _Table] = {}
        self._of_rows: set[int] = set()
        self._room = _MAX_BYTES

    def __call__(
        self,
        site: str,
        operation: NonLinear,
        function: IntegerFunction,
        operands: Sequence[QTensor | None],
        attributes: Mapping[str, Any],
        constants: Constants,
        out: QParams,
    ) -> Tensor:
        """The results, saturated, as real values.

        Args:
            site: Name of the site.
            operation: Its operation.
            function: A candidate.
            operands: Of the site; the first one in integers.
            attributes: Other arguments of the operation.
            constants: Of the candidate, made for the first operand.
            out: Quantizer of the output.
        """
        x = operands[0]
        assert x is not None and isinstance(x.qparams, QParams)
        q, span = x.payload, x.qparams.qmax - x.qparams.qmin + 1
        device = q.device
        if operation.kind in _BY_ELEMENT and span < q.numel():
            table = self._table(site, function, x, constants, out)
            if table is not None:
                index = q.flatten().to(torch.int32) - x.qparams.qmin
                return table.to(device).index_select(0, index).view(q.shape)
        config, made = self._configs.get(id(function)), None
        if config is not None and self._kernel is not None and q.numel():
            name = f'{site} {id(function)}'
            made = self._kernel(
                name, operation, config, operands, constants, attributes, out
            )
        if made is None:
            there = _on(device, constants)
            made = in_blocks(
                operation.kind,
                [q],
                lambda block: out.saturate(function.integer(block[0], there)),  # type: ignore
            )
        else:
            made = out.to_levels(made)
        return out.dequantize(made)

    def _table(
        self,
        site: str,
        function: IntegerFunction,
        x: QTensor,
        constants: Constants,
        out: QParams,
    ) -> Tensor | None:
        """The results for all integers of the operand's quantizer.

        None: they depend on whole rows.
        """
        q, key = x.qparams, (site, id(function))
        assert isinstance(q, QParams)
        if id(function) in self._of_rows:
            return None
        kept = self._tables.get(key)
        if kept is not None and kept.constants is constants:
            made_for = kept.qparams, kept.out
            if made_for == (q, out):
                return kept.values
        every = torch.arange(q.qmin, q.qmax + 1, dtype=x.payload.dtype)
        there = _on(every.device, constants)
        made, alone = (function.integer(x, there) for x in (every, every[:, None]))
        if not torch.equal(made, alone.flatten()):
            self._of_rows.add(id(function))
            return None
        values = out.dequantize(out.saturate(made))
        if kept is not None:
            self._room += kept.values.nbytes
            del self._tables[key]
        if values.nbytes <= self._room:
            self._room -= values.nbytes
            self._tables[key] = _Table(q, constants, out, values)
        return values


def _on(device: torch.device, constants: Constants) -> Constants:
    return {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in constants.items()
    }
