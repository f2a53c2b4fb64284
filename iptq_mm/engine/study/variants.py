"""The rules that a study compares: criteria in all variants that their papers allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...criteria import CandidateErrors, Criterion
from ...registry import CRITERIA
from .site_candidates import SiteCandidate


class MeanPerturbation(Criterion):
    """Perturbation with the mean over elements instead of the sum."""

    def score(self, errors: CandidateErrors) -> float:
        """Minus the mean squared error of an element."""
        return -errors.mean_perturbation


def variants() -> dict[str, Criterion]:
    """Every criterion that scores candidates, by a name that says the variant."""
    configs = {
        'unified_metric': dict(type='unified_metric'),
        'unified_metric, C in total': dict(type='unified_metric', c_unit='total'),
        'unified_metric, mean P': dict(type='unified_metric', p_reduction='mean'),
        'unified_metric, mean P, C in total': dict(
            type='unified_metric', p_reduction='mean', c_unit='total'
        ),
        'sqnr': dict(type='sqnr'),
        'sqnr_difference': dict(type='sqnr_difference'),
        'sqnr_difference, literal': dict(type='sqnr_difference', reading='literal'),
        'sqnr_difference, absolute': dict(type='sqnr_difference', reading='absolute'),
        'sqnr_difference, plain SQNR': dict(type='sqnr_difference', measure='sqnr'),
        'perturbation': dict(type='perturbation'),
        'cost': dict(type='cost'),
        'output_error': dict(type='output_error'),
        'output_error, systematic': dict(type='output_error', kind='systematic'),
        'output_error, uncorrelated': dict(type='output_error', kind='uncorrelated'),
    }
    built: dict[str, Criterion] = {n: CRITERIA.build(c) for n, c in configs.items()}
    built['perturbation, mean'] = MeanPerturbation()
    return built


class Rule(NamedTuple):
    """A criterion, and where the errors come from that it looks at.

    Attributes:
        criterion: The criterion.
        whole: Whether they are those of the whole-model analysis.
    """

    criterion: Criterion
    whole: bool = False

    def errors(self, candidate: SiteCandidate) -> CandidateErrors:
        """The errors that it looks at."""
        return candidate.whole if self.whole else candidate.errors

    def score(self, candidate: SiteCandidate) -> float:
        """How good a candidate is."""
        return self.criterion.score(self.errors(candidate))

    def pick(self, site: Sequence[SiteCandidate]) -> SiteCandidate:
        """The candidate that it picks at a site."""
        known = {candidate.function: candidate for candidate in site}
        errors = {name: self.errors(candidate) for name, candidate in known.items()}
        return known[self.criterion.choose(site[0].kind, errors)]


def rules() -> dict[str, Rule]:
    """All variants, and those of whole models that their paper means, by name."""
    made = {name: Rule(criterion) for name, criterion in variants().items()}
    for name, rule in list(made.items()):
        if name.partition(',')[0] in ('sqnr', 'sqnr_difference'):
            made[f'{name}, whole model'] = rule._replace(whole=True)
    return made
