"""How often a guarantee is wrong: certified by some images, judged by the others.

A statement is about the rate of all images, "at most ``rate`` of them". Other images
cannot show that rate, only contradict it: they do where so many of them, or more, would
fail with a chance below :data:`CHANCE`, if it were ``rate``. A statement is false with
the probability ``1 - confidence`` at most, and a true one is contradicted with
:data:`CHANCE` at most. So a split may contradict with the sum of both. Given the pool,
the splits are independent, and the number of contradictions is binomial: as long as it
is no larger than :func:`most_wrong`, nothing speaks against the guarantee.

That the *share* of the others which fails exceeds ``rate`` proves nothing. Where the
rate of all images is just ``rate``, every second split does so.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from iptq_mm.guarantee import Answers, Guarantee, tail
from iptq_mm.guarantee.thresholds import failures

#: With which chance a true statement is contradicted.
CHANCE = 0.01
#: With which chance a sound guarantee is wrong more often than is said to be allowed.
_SURPRISE = 0.01


@dataclass
class Count:
    """What became of a kind of statement.

    Attributes:
        made: Splits whose certifying images bear it out.
        wrong: Those of them that the other images contradict.
        above: Those where the others' own share is beyond the statement.
    """

    made: int = 0
    wrong: int = 0
    above: int = 0

    def judge(self, failed: int, images: int, rate: float) -> None:
        """Count a statement "at most ``rate``", which other images judge."""
        self.made += 1
        self.wrong += contradicts(failed, images, rate)
        self.above += failed > rate * images


def contradicts(failed: int, images: int, rate: float) -> bool:
    """Whether so many failures of so many images contradict a rate."""
    return failed > 0 and 1 - tail(failed - 1, images, rate) < CHANCE


def most_wrong(splits: int, confidence: float) -> int:
    """How many of the splits may be wrong, in all but 1 of 100 pools."""
    from scipy.stats import binom

    return int(binom.ppf(1 - _SURPRISE, splits, 1 - confidence + CHANCE))


def count_splits(
    pool: Answers,
    quantizer: tuple[float, int],
    *,
    certifying: int,
    splits: int,
    agreement: float,
    confidence: float,
) -> dict[str, Count]:
    """Certify by some images and judge by the others, many times.

    Args:
        pool: All images.
        quantizer: Scale and largest margin of the logits.
        certifying: How many images certify, drawn anew for each split.
        splits: How many splits.
        agreement: What is certified.
        confidence: Of each statement.
    """
    counts = {kind: Count() for kind in ('same top-1', 'without a flag', 'guarded')}
    for split in range(splits):
        generator = torch.Generator().manual_seed(split)
        order = torch.randperm(len(pool), generator=generator)
        chosen, others = pool[order[:certifying]], pool[order[certifying:]]
        for guarded in (False, True):
            try:
                found = Guarantee.of(
                    chosen,
                    *quantizer,
                    agreement=agreement,
                    confidence=confidence,
                    target=agreement,
                    guarded=guarded,
                )
            except ValueError:  # it says nothing
                continue
            failed = int(failures(others, found.margin, guarded).sum())
            kind = 'guarded' if guarded else 'without a flag'
            counts[kind].judge(failed, len(others), 1 - agreement)
            if not guarded:
                differ = int(others.differ.sum())
                counts['same top-1'].judge(differ, len(others), 1 - found.at_least)
    return counts
