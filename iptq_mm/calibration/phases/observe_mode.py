"""The mode of the phase observe: float values, reported to the record by each site."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ...given import GivenInput
from ...intmath import QParams
from ...modes.base import FloatMode
from ...modes.shared_integers import Producer, note_producer, producer_of
from ...operations import Operation
from ...qtensor import QTensor
from ...qtensor.context import current_location, describe_location
from ...record import RegionRecord


class Observing(FloatMode):
    """Fills a :class:`~iptq_mm.record.RegionRecord`."""

    def __init__(self, record: RegionRecord) -> None:
        self.record = record
        self.channel_shifts = record.channel_shifts

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        self.record.see_value(name, value)
        self.record.see_input(name, producer_of(value))
        return super().enter(name, value)

    def enter_given(self, name: str, value: Tensor) -> Tensor:
        """See the base class."""
        x = super().enter_given(name, value)
        assert isinstance(x, QTensor) and isinstance(x.qparams, QParams)
        seen = self.record.given.setdefault(name, GivenInput())
        seen.see(x.qparams.qmin, x.qparams.qmax)
        return x

    def read_given(self, x: QTensor) -> Tensor:
        """See the base class."""
        seen = self.record.given.setdefault(x.source, GivenInput())
        seen.read = seen.read or describe_location()
        return super().read_given(x)

    def enter_mask(self, name: str, value: Tensor) -> QTensor | None:
        """See the base class."""
        x = super().enter_mask(name, value)
        if x is not None:
            self.record.given.setdefault(name, GivenInput()).mask = True
        return x

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """See the base class."""
        self.record.parameters.setdefault(name, set())
        return super().parameter(name, value)

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        x = super().run(operation, inputs, attributes)
        if operation.kind == 'embedding':
            self._see_table(x.source, inputs[0], inputs[1])
        sources = [None if i is None else i.source for i in inputs]
        self.record.see_site(x.source, operation, sources)
        self.record.see_value(x.source, x.payload)
        return x

    def _see_table(self, site: str, ids: QTensor | None, table: QTensor | None) -> None:
        """Note which rows there are, and what is in all of them."""
        assert ids is not None and table is not None
        if ids.source in self.record.given and ids.plain:
            self.record.given[ids.source].see_rows(len(table.payload))
        if site not in self.record.values:
            self.record.see_value(site, table.payload)

    def hand_out(self, value: QTensor) -> Tensor:
        """See the base class; the value leaves the integers, with many bits."""
        self.record.outputs.add(value.source)
        return super().hand_out(value)

    def leave(self, value: QTensor) -> Tensor:
        """See the base class."""
        self.record.outputs.add(value.source)
        real, location = super().leave(value), current_location()
        assert location is not None
        note_producer(real, Producer(location.region, value.source))
        return real
