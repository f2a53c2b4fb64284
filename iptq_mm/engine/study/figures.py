"""How well a criterion predicts degradation: rank correlations and picks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...operations import OPERATIONS, NonLinear
from .rank_correlation import spearman
from .site_candidates import SiteCandidate, by_site
from .variants import Rule

#: Kinds of operations for which functions are chosen.
KINDS = tuple(k for k, x in OPERATIONS.items() if isinstance(x, NonLinear))
#: Resamplings of the images for a standard error.
RESAMPLINGS = 100


class Correlation(NamedTuple):
    """Rank correlation of a prediction with the measured degradation.

    Attributes:
        overall: Over all pairs.
        kinds: Over the candidates of each kind.
        within: Within a site, mean over sites.
    """

    overall: float
    kinds: dict[str, float]
    within: float


class Picks(NamedTuple):
    """The picks of a criterion, measured site by site.

    Attributes:
        best: Share of sites where it picks the least degradation.
        near: ... or at most 0.1 dB more.
        loss_db: Mean over sites of the degradation over the least one, in dB.
    """

    best: float
    near: float
    loss_db: float


class Spread(NamedTuple):
    """A correlation and its standard error over images."""

    value: Correlation
    error: Correlation


def correlation(
    candidates: list[SiteCandidate], prediction: np.ndarray, degradation: np.ndarray
) -> Correlation:
    """Rank correlation of a prediction (more is worse) with the degradation."""
    kinds = np.array([candidate.kind for candidate in candidates])
    places = np.array([f'{p.region}:{p.site}' for p in candidates])

    def among(chosen: np.ndarray) -> float:
        return spearman(prediction[chosen], degradation[chosen])

    within = [among(places == place) for place in dict.fromkeys(places)]
    return Correlation(
        spearman(prediction, degradation),
        {kind: among(kinds == kind) for kind in KINDS},
        _mean(within),
    )


def predictive(candidates: list[SiteCandidate], rule: Rule, form: str) -> Spread:
    """How well the scores of a rule predict the degradation.

    The standard error is that of the measured images, by resampling them.
    """
    scores = np.array([rule.score(candidate) for candidate in candidates])
    return spread(
        candidates,
        form,
        lambda degradation: correlation(candidates, -scores, degradation),
    )


def spread(
    candidates: list[SiteCandidate],
    form: str,
    figure: Callable[[np.ndarray], Correlation],
) -> Spread:
    """A figure of the degradation by candidate, and its standard error over images."""
    errors = np.stack([candidate.degradation[form] for candidate in candidates])
    generator = np.random.default_rng(0)
    images = errors.shape[1]
    drawn = []
    for _ in range(RESAMPLINGS):
        drawn.append(figure(errors[:, generator.integers(0, images, images)].sum(1)))
    return Spread(
        figure(errors.sum(1)),
        Correlation(
            _deviation([c.overall for c in drawn]),
            {kind: _deviation([c.kinds[kind] for c in drawn]) for kind in KINDS},
            _deviation([c.within for c in drawn]),
        ),
    )


def repeatability(candidates: list[SiteCandidate], form: str) -> Correlation:
    """How well the degradation on half of the images predicts that on the others.

    No criterion can be expected to do much better.
    """
    errors = np.stack([candidate.degradation[form] for candidate in candidates])
    return correlation(candidates, errors[:, ::2].sum(1), errors[:, 1::2].sum(1))


def picks(
    candidates: list[SiteCandidate],
    choose: Callable[[list[SiteCandidate]], SiteCandidate],
    form: str,
) -> Picks:
    """The figures of the picks of ``choose`` at all sites."""
    losses = []
    for site in by_site(candidates):
        least = min(candidate.degradation[form].sum() for candidate in site)
        mine = choose(site).degradation[form].sum()
        losses.append(10 * np.log10(mine / least) if mine > 0 else 0.0)
    loss = np.array(losses)
    return Picks(
        float((loss == 0).mean()), float((loss <= 0.1).mean()), float(loss.mean())
    )


def picks_of(candidates: list[SiteCandidate], rule: Rule, form: str) -> Picks:
    """The figures of the picks of a rule at all sites."""
    return picks(candidates, rule.pick, form)


def least_degrading(form: str) -> Callable[[list[SiteCandidate]], SiteCandidate]:
    """Picks by what was measured."""
    return lambda site: min(
        site, key=lambda candidate: float(candidate.degradation[form].sum())
    )


def _mean(values: list[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float('nan')


def _deviation(values: list[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return float(np.std(known)) if known else float('nan')
