"""Quantizers of the integers and masks that regions are given."""

from __future__ import annotations

from collections.abc import Mapping

from ...intmath import QParams
from ...qtensor.hiding import ADDITIVE
from ...record import RegionRecord
from ..config import ConfigError


def given_quantizers(record: RegionRecord) -> dict[str, QParams]:
    """The quantizers of given integers and masks, by input name.

    Integers whose numbers are read are not among them: they are no values of the
    region, and a program depends on their contents.
    """
    found = {}
    for name, seen in record.given.items():
        if seen.mask:
            if name not in record.values:  # not always one
                found[name] = ADDITIVE
        elif not seen.read:
            found[name] = QParams(1.0, *seen.bounds)
    return found


def check_given_inputs(records: Mapping[str, RegionRecord]) -> None:
    """Make sure that token ids are used in no way that has no rule.

    Raises:
        ConfigError: If the ids of an embedding are read, too.
    """
    for seen in (s for record in records.values() for s in record.given.values()):
        if seen.rows and seen.read:
            raise ConfigError(
                f'token ids are used by a function without a rule for integers '
                f'({seen.read}), and by an embedding: choose smaller regions, so that '
                'this is computed outside'
            )
