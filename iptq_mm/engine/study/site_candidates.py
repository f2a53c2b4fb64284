"""Candidates at sites: what calibration says of each, and what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...criteria import CandidateErrors
from ...record import RegionRecord
from .measurements import Images, Measurements

#: The two ways to measure a candidate: in the integer model, whose other sites have
#: their best candidate, and alone in the float model.
FORMS = ('integer', 'float')

#: Name of the candidate at each non-linear site, by region.
Assignment = Mapping[str, Mapping[str, str]]


@dataclass(eq=False)
class SiteCandidate:
    """A candidate at a site.

    Attributes:
        region: Name of the region.
        site: Name of the site.
        kind: Kind of the operation.
        function: Name of the candidate function.
        errors: What calibration found, all candidates of a site on the same input.
        whole: ... and in a model that has the method of the candidate at all sites;
            nothing is in it where that was not looked at.
        degradation: By form, the squared error of the logits of each image.
        agreement: By form, the share of images whose class stays.
    """

    region: str
    site: str
    kind: str
    function: str
    errors: CandidateErrors
    whole: CandidateErrors = field(default_factory=CandidateErrors)
    degradation: dict[str, np.ndarray] = field(default_factory=dict)
    agreement: dict[str, float] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str]:
        """Region and site."""
        return self.region, self.site

    @property
    def literal(self) -> bool:
        """Whether the candidate is the literal form of a paper's code."""
        return 'literal=True' in self.function

    @property
    def table(self) -> bool:
        """Whether the candidate is a look-up table."""
        return self.function.startswith('table_')

    def name(self, form: str) -> str:
        """Name of the measurement."""
        return f'{form} {self.region}:{self.site} {self.function}'

    def take(self, measured: Measurements, batches: Sequence[Images]) -> None:
        """Take over the measurements on batches."""
        for form in FORMS:
            measurement = measured.over(self.name(form), batches)
            self.degradation[form] = np.array(measurement.error)
            self.agreement[form] = float(np.mean(measurement.same))


def site_candidates(
    records: Mapping[str, RegionRecord],
    whole: Mapping[str, RegionRecord] | None = None,
) -> list[SiteCandidate]:
    """All candidates, in the order of execution.

    Args:
        records: By region, with the errors on the same input.
        whole: ... with those of the whole-model analysis.
    """
    made = [
        SiteCandidate(region, site, kind, name, errors)
        for region, record in records.items()
        for site, kind in record.operations.items()
        for name, errors in record.candidates.get(site, {}).items()
    ]
    for candidate in made if whole is not None else ():
        assert whole is not None
        found = whole[candidate.region].candidates.get(candidate.site, {})
        candidate.whole = found.get(candidate.function, candidate.whole)
    return made


def by_site(candidates: Iterable[SiteCandidate]) -> list[list[SiteCandidate]]:
    """The candidates of each site."""
    sites: dict[tuple[str, str], list[SiteCandidate]] = {}
    for candidate in candidates:
        sites.setdefault(candidate.place, []).append(candidate)
    return list(sites.values())


def sets_of(candidates: list[SiteCandidate]) -> dict[str, list[SiteCandidate]]:
    """Search spaces to compare criteria on: all candidates, and subsets, by title.

    Subsets that leave a site without a candidate, or that leave nothing out, are
    omitted.
    """
    parts = {
        'Candidates of the config and literal forms': candidates,
        'Candidates of the config': [p for p in candidates if not p.literal],
        'Without tables': [p for p in candidates if not p.literal and not p.table],
        'Literal forms only': [p for p in candidates if p.literal],
    }
    sites, sets = len(by_site(candidates)), dict[str, list[SiteCandidate]]()
    for title, part in parts.items():
        if len(by_site(part)) == sites and part not in sets.values():
            sets[title] = part
    return sets


def assignment_of(candidates: Iterable[SiteCandidate]) -> dict[str, dict[str, str]]:
    """The assignment that one candidate of each site makes."""
    assignment: dict[str, dict[str, str]] = {}
    for candidate in candidates:
        assignment.setdefault(candidate.region, {})[candidate.site] = candidate.function
    return assignment
