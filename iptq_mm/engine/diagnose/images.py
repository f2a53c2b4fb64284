"""Whether calibration saw images like those of the evaluation, and enough of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...record import RegionRecord
from ...statistics import Statistics
from .causes import Finding, moments

#: Images of one kind differ less: means by so many standard deviations, and standard
#: deviations by such a factor.
SHIFT, SPREAD = 0.5, 1.5
#: Few images differ from others by chance, too.
FEW_SHIFT, FEW_SPREAD = 2.0, 3.0
#: Fewer calibration images than these rarely show the ranges of all others.
FEW = 8
#: ... if at half of the layers so large a share of the evaluated values lies outside of
#: what they showed. Of tiny ViTs, one image left 0.09 to 0.26 % there, two 0.01 to
#: 0.05 %, six images 0.02 % at most.
UNSEEN = 5e-4


@dataclass(frozen=True)
class Evidence:
    """What calibration and evaluation saw.

    Attributes:
        records: What calibration found, by region.
        seen: Statistics of the float values of the evaluation, by region and name.
        error: Of the whole integer model.
        images: How many images calibrated; None: not known.
    """

    records: Mapping[str, RegionRecord]
    seen: Mapping[str, Mapping[str, Statistics]]
    error: float
    images: int | None


def unlike_images(evidence: Evidence) -> list[Finding]:
    """Findings about what enters the regions first."""
    records, seen, images = evidence.records, evidence.seen, evidence.images
    few = images is not None and images < FEW
    shift, factor = (FEW_SHIFT, FEW_SPREAD) if few else (SHIFT, SPREAD)
    for region, record in records.items():
        before, now = record.values.get('input:0'), seen[region].get('input:0')
        if before is None or now is None or not before.count or not now.count:
            continue
        (mean, spread), (new_mean, new_spread) = moments(before), moments(now)
        least = max(min(spread, new_spread), 1e-12)
        if (
            abs(mean - new_mean) < shift * least
            and max(spread, new_spread) < factor * least
        ):
            return []  # what enters later regions depends on the first
        return [
            Finding(
                f'{region}:input:0',
                'calibration images',
                evidence.error,
                f'calibration saw values of mean {mean:.3g} and standard deviation '
                f'{spread:.3g}, the evaluation has {new_mean:.3g} and '
                f'{new_spread:.3g}: the images are of another kind, or normalized in '
                'another way',
                'calibrate with the images and the pipeline of the evaluation: compare '
                'quantization.calibration.dataset (or train_dataloader) with '
                'test_dataloader, and the order of channels, mean and std',
            )
        ]
    return []


def few_images(evidence: Evidence) -> list[Finding]:
    """Findings about the number of calibration images, if it shows."""
    records, seen, images = evidence.records, evidence.seen, evidence.images
    if images is None or images >= FEW:
        return []
    outside = {
        f'{region}:{site}': _outside(before, seen[region][site])
        for region, record in records.items()
        for site, before in record.values.items()
        if site in seen[region] and before.count
    }
    shares = sorted(outside.values())
    middle = shares[len(shares) // 2] if shares else 0.0
    if middle < UNSEEN:
        return []
    worst = max(outside, key=lambda site: outside[site])
    return [
        Finding(
            worst,
            'too few images',
            evidence.error,
            f'{images} calibration image{"s" if images > 1 else ""}, and at half of '
            f'the layers {middle:.2%} or more of the values of the evaluation lie '
            f'outside of all that calibration saw; most here, {outside[worst]:.2%}',
            'some dozens of images (quantization.calibration.num_images)',
        )
    ]


def _outside(before: Statistics, now: Statistics) -> float:
    """Share of the values that lie outside of those that were seen before."""
    centres, counts = now.samples()
    far = (centres < before.minimum) | (centres > before.maximum)
    return float(counts[far].sum()) / max(1, now.count)
