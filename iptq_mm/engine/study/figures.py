"""How well a criterion predicts damage: rank correlations and picks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...criteria import Criterion
from .pairs import Pair, by_site, picked
from .rank_correlation import spearman

KINDS = ('gelu', 'softmax', 'layer_norm')
#: Resamplings of the images for a standard error.
RESAMPLINGS = 100


class Correlation(NamedTuple):
    """Rank correlation of a prediction with the measured damage.

    Attributes:
        overall: Over all pairs.
        kinds: Over the pairs of each kind.
        within: Within a site, mean over sites.
    """

    overall: float
    kinds: dict[str, float]
    within: float


class Picks(NamedTuple):
    """What a criterion picks, measured site by site.

    Attributes:
        best: Share of sites where it picks the least damage.
        near: ... or at most 0.1 dB more.
        loss_db: Mean over sites of the damage over the least one, in dB.
    """

    best: float
    near: float
    loss_db: float


class Spread(NamedTuple):
    """A correlation and its standard error over images."""

    value: Correlation
    error: Correlation


def correlation(
    pairs: list[Pair], prediction: np.ndarray, damage: np.ndarray
) -> Correlation:
    """Rank correlation of a prediction (more is worse) with the damage."""
    kinds = np.array([pair.kind for pair in pairs])
    places = np.array([f'{p.region}:{p.site}' for p in pairs])

    def among(chosen: np.ndarray) -> float:
        return spearman(prediction[chosen], damage[chosen])

    within = [among(places == place) for place in dict.fromkeys(places)]
    return Correlation(
        spearman(prediction, damage),
        {kind: among(kinds == kind) for kind in KINDS},
        _mean(within),
    )


def predictive(pairs: list[Pair], criterion: Criterion, form: str) -> Spread:
    """How well the scores of a criterion predict the damage.

    The standard error is that of the measured images, by resampling them.
    """
    scores = np.array([criterion.score(pair.errors) for pair in pairs])
    return spread(pairs, form, lambda damage: correlation(pairs, -scores, damage))


def spread(
    pairs: list[Pair], form: str, figure: Callable[[np.ndarray], Correlation]
) -> Spread:
    """A figure of the damage by pair, and its standard error over images."""
    errors = np.stack([pair.damage[form] for pair in pairs])
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


def repeatability(pairs: list[Pair], form: str) -> Correlation:
    """How well the damage on half of the images predicts that on the others.

    No criterion can be expected to do much better.
    """
    errors = np.stack([pair.damage[form] for pair in pairs])
    return correlation(pairs, errors[:, ::2].sum(1), errors[:, 1::2].sum(1))


def picks(pairs: list[Pair], choose: Callable[[list[Pair]], Pair], form: str) -> Picks:
    """What ``choose`` picks at each site."""
    losses = []
    for site in by_site(pairs):
        least = min(pair.damage[form].sum() for pair in site)
        mine = choose(site).damage[form].sum()
        losses.append(10 * np.log10(mine / least) if mine > 0 else 0.0)
    loss = np.array(losses)
    return Picks(
        float((loss == 0).mean()), float((loss <= 0.1).mean()), float(loss.mean())
    )


def picks_of(pairs: list[Pair], criterion: Criterion, form: str) -> Picks:
    """What a criterion picks at each site."""
    return picks(pairs, lambda site: picked(criterion, site), form)


def least_damaging(form: str) -> Callable[[list[Pair]], Pair]:
    """Picks by what was measured."""
    return lambda site: min(site, key=lambda pair: float(pair.damage[form].sum()))


def _mean(values: list[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float('nan')


def _deviation(values: list[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return float(np.std(known)) if known else float('nan')
