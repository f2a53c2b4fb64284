"""The criteria that a study compares, in all variants that their papers allow."""

from __future__ import annotations

from ...criteria import CandidateErrors, Criterion
from ...registry import CRITERIA


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
        'perturbation': dict(type='perturbation'),
        'cost': dict(type='cost'),
        'output_error': dict(type='output_error'),
        'output_error, systematic': dict(type='output_error', kind='systematic'),
        'output_error, uncorrelated': dict(type='output_error', kind='uncorrelated'),
    }
    built: dict[str, Criterion] = {n: CRITERIA.build(c) for n, c in configs.items()}
    built['perturbation, mean'] = MeanPerturbation()
    return built
