"""The statements about a model that held-out images bear out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from .answers import Answers
from .bounds import smallest_rate
from .thresholds import (
    certified_from,
    estimated_from,
    failures,
    threshold_grid,
)


@dataclass(frozen=True)
class Guarantee:
    """What is certain of the answers of an integer model.

    Each statement holds by itself with the confidence, for images that are drawn like
    the held-out ones. *Final* is an answer without a flag, or that of the guard.

    Attributes:
        images: How many images were held out.
        confidence: Probability of each statement.
        agreed: How many of them got the answer of the float model.
        at_least: Share of all images that get it, at least.
        margin: An answer is flagged if the largest integer logit exceeds the second by
            less than this.
        scale: What the integer 1 stands for at the logits.
        flagged: How many of the held-out images were flagged.
        agreement: At most ``1 - agreement`` of all images get a final answer that is
            not that of the float model.
        estimated: ``margin`` was raised until an estimate of this share was at most
            ``1 - estimated``.
        wrong: How many of the held-out images have such a final answer.
        guarded: Whether a wider model answers flagged images.
    """

    images: int
    confidence: float
    agreed: int
    at_least: float
    margin: int
    scale: float
    flagged: int
    agreement: float
    estimated: float
    wrong: int
    guarded: bool

    @classmethod
    def of(
        cls,
        answers: Answers,
        scale: float,
        largest: int,
        *,
        agreement: float,
        confidence: float,
        target: float,
        guarded: bool,
    ) -> Guarantee:
        """The guarantee that held-out images bear out.

        Args:
            answers: Theirs.
            scale: What the integer 1 stands for at the logits.
            largest: Largest margin that two logits can have.
            agreement: Share of which to be certain.
            confidence: Probability of each statement.
            target: Share that is estimated.
            guarded: Whether a wider model answers flagged images.

        Raises:
            ValueError: If the images do not bear out this agreement; says why.
        """
        grid = threshold_grid(largest)
        certain = certified_from(answers, grid, agreement, confidence, guarded)
        if certain is None:
            count = len(answers)
            wrong = int(failures(answers, grid[-1], guarded).sum())
            most = math.floor(1e4 * smallest_rate(count - wrong, count, confidence))
            raise ValueError(
                f'{count} held-out images do not bear out an agreement of {agreement} '
                f'with confidence {confidence}, at most {most / 1e4:g}'
                + (f': the wider model itself differs on {wrong}' if wrong else '')
            )
        # All statements from `certain` on hold at once, so the choice is free.
        margin = max(certain, estimated_from(answers, grid, target))
        agreed = len(answers) - int(answers.differ.sum())
        return cls(
            images=len(answers),
            confidence=confidence,
            agreed=agreed,
            at_least=smallest_rate(agreed, len(answers), confidence),
            margin=margin,
            scale=scale,
            flagged=int((answers.margins < margin).sum()),
            agreement=agreement,
            estimated=target,
            wrong=int(failures(answers, margin, guarded).sum()),
            guarded=guarded,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Guarantee:
        """Inverse of :meth:`to_dict`; what else is there is left out.

        Raises:
            ValueError: If something is missing.
        """
        names = [f.name for f in fields(cls)]
        missing = [name for name in names if name not in data]
        if missing:
            raise ValueError(f'the guarantee has no {", ".join(missing)}')
        return cls(**{name: data[name] for name in names})

    def sentences(self) -> list[str]:
        """The statements in words, a line each."""
        sure = f'with confidence {self.confidence:g}'
        final = 'of the guarded model' if self.guarded else 'without a flag'
        rest = (
            'a wider model answers the flagged ones'
            if self.guarded
            else 'the others are flagged'
        )
        return [
            f'held-out images: {self.images}, same top-1: {self.agreed}; of images '
            f'like these at least {self.at_least:.2%} have the answer of the float '
            f'model, {sure}',
            f'flag: a margin below {self.margin} integers '
            f'({self.margin * self.scale:.3g} at the logits), {self.flagged} of the '
            f'held-out images; {rest}',
            f'answers {final} that differ from float: {self.wrong} of the held-out '
            f'images; at most {1 - self.agreement:.2%} of all, {sure} '
            f'(estimate: {1 - self.estimated:.2%} or less that no flag warns of)',
        ]
