"""Whether calibration saw images like those of the evaluation, and enough of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...record import RegionRecord
from ...statistics import Statistics
from .causes import Finding, moments

#: Images of one kind differ less: means by so many standard deviations, and standard
#: deviations by such a factor.
SHIFT, SPREAD = 0.5, 1.5
#: Fewer calibration images than these rarely show the ranges of all others.
FEW = 8


def unlike_images(
    records: Mapping[str, RegionRecord],
    seen: Mapping[str, Mapping[str, Statistics]],
    error: float,
) -> list[Finding]:
    """Findings about what enters the regions first.

    Args:
        records: What calibration found, by region.
        seen: Statistics of the float values of the evaluation, by region and name.
        error: Of the whole integer model.
    """
    for region, record in records.items():
        before, now = record.values.get('input:0'), seen[region].get('input:0')
        if before is None or now is None or not before.count or not now.count:
            continue
        (mean, spread), (new_mean, new_spread) = moments(before), moments(now)
        least = max(min(spread, new_spread), 1e-12)
        if (
            abs(mean - new_mean) < SHIFT * least
            and max(spread, new_spread) < SPREAD * least
        ):
            return []  # what enters later regions depends on the first
        return [
            Finding(
                f'{region}:input:0',
                'calibration images',
                error,
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


def few_images(results: Mapping[str, Any], error: float) -> list[Finding]:
    """Findings about the number of calibration images, if it shows.

    Args:
        results: What ``results.json`` holds.
        error: Of the whole integer model.
    """
    images = (results.get('calibration') or {}).get('images')
    left = results.get('out_of_calibration') or []
    if images is None or images >= FEW or not left:
        return []
    region, _, clause = left[0].partition(': ')
    site = clause.strip("'").partition("'")[0]
    return [
        Finding(
            f'{region}:{site}',
            'too few images',
            error,
            f'{images} calibration image{"s" if images > 1 else ""}, and the '
            'evaluation leaves the ranges that they showed at '
            f'{len(left)} quantizers'
            f'{" or more" if len(left) >= 20 else ""}; first: {left[0]}',
            'some dozens of images (quantization.calibration.num_images)',
        )
    ]
