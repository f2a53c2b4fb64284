"""Pairs of a site and a candidate: what calibration says and what happens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...criteria import CandidateErrors, Criterion
from ...record import RegionRecord
from .measurements import Images, Measurements

#: The two ways to measure a pair: in the integer model, whose other sites have
#: their best candidate, and alone in the float model.
FORMS = ('integer', 'float')

#: Name of the candidate at each non-linear site, by region.
Assignment = Mapping[str, Mapping[str, str]]


@dataclass(eq=False)
class Pair:
    """A candidate at a site.

    Attributes:
        region: Name of the region.
        site: Name of the site.
        kind: Kind of the operation.
        candidate: Name of the candidate.
        errors: What calibration found.
        damage: By form, the squared error of the logits of each image.
        agreement: By form, the share of images whose class stays.
    """

    region: str
    site: str
    kind: str
    candidate: str
    errors: CandidateErrors
    damage: dict[str, np.ndarray] = field(default_factory=dict)
    agreement: dict[str, float] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str]:
        """Region and site."""
        return self.region, self.site

    @property
    def literal(self) -> bool:
        """Whether the candidate is the literal form of a paper's code."""
        return 'literal=True' in self.candidate

    @property
    def table(self) -> bool:
        """Whether the candidate is a look-up table."""
        return self.candidate.startswith('table_')

    def name(self, form: str) -> str:
        """Name of the measurement."""
        return f'{form} {self.region}:{self.site} {self.candidate}'

    def take(self, measured: Measurements, batches: Sequence[Images]) -> None:
        """Take the measured effects over batches."""
        for form in FORMS:
            effect = measured.over(self.name(form), batches)
            self.damage[form] = np.array(effect.error)
            self.agreement[form] = float(np.mean(effect.same))


def pairs_of(records: Mapping[str, RegionRecord]) -> list[Pair]:
    """All pairs, in the order of execution."""
    return [
        Pair(region, site, kind, name, errors)
        for region, record in records.items()
        for site, kind in record.operations.items()
        for name, errors in record.candidates.get(site, {}).items()
    ]


def by_site(pairs: Iterable[Pair]) -> list[list[Pair]]:
    """The pairs of each site."""
    sites: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        sites.setdefault(pair.place, []).append(pair)
    return list(sites.values())


def sets_of(pairs: list[Pair]) -> dict[str, list[Pair]]:
    """Search spaces to compare criteria on: all pairs, and parts of them.

    A part that leaves a site without a candidate, or that leaves nothing out, is
    none.
    """
    parts = {
        'Candidates of the config and literal forms': pairs,
        'Candidates of the config': [p for p in pairs if not p.literal],
        'Without tables': [p for p in pairs if not p.literal and not p.table],
        'Literal forms only': [p for p in pairs if p.literal],
    }
    sites, sets = len(by_site(pairs)), dict[str, list[Pair]]()
    for title, part in parts.items():
        if len(by_site(part)) == sites and part not in sets.values():
            sets[title] = part
    return sets


def picked(criterion: Criterion, site: list[Pair]) -> Pair:
    """The candidate that a criterion picks at a site."""
    known = {pair.candidate: pair for pair in site}
    errors = {name: pair.errors for name, pair in known.items()}
    return known[criterion.choose(site[0].kind, errors)]


def assignment_of(pairs: Iterable[Pair]) -> dict[str, dict[str, str]]:
    """The assignment that one pair of each site makes."""
    assignment: dict[str, dict[str, str]] = {}
    for pair in pairs:
        assignment.setdefault(pair.region, {})[pair.site] = pair.candidate
    return assignment
