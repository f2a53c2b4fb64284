"""Whether calibration saw images like those of the evaluation, and enough of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from ...record import RegionRecord
from ...statistics import Statistics
from ..report.inputs import FEW, UNSEEN_DB, added_db, moments, unlike
from .causes import Finding


@dataclass(frozen=True)
class Evidence:
    """What calibration and evaluation saw.

    Attributes:
        records: What calibration found, by region.
        seen: Statistics of the float values of the evaluation, by region and name.
        error: Of the whole integer model.
        images: How many images calibrated; None: not known.
        evaluated: How many images of the evaluation were looked at.
    """

    records: Mapping[str, RegionRecord]
    seen: Mapping[str, Mapping[str, Statistics]]
    error: float
    images: int | None
    evaluated: int


def unlike_images(evidence: Evidence) -> list[Finding]:
    """Findings about what enters the regions first."""
    for region, record in evidence.records.items():
        before = record.values.get('input:0')
        now = evidence.seen[region].get('input:0')
        if before is None or now is None or not now.count:
            continue
        images = evidence.evaluated
        if evidence.images is not None:
            images = min(images, evidence.images)
        text = unlike(before, moments(now), images)
        if not text:
            return []  # what enters later regions depends on the first
        return [
            Finding(
                f'{region}:input:0',
                'calibration images',
                evidence.error,
                text,
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
    added = {
        f'{region}:{site}': unseen([before], [seen[region][site]])
        for region, record in records.items()
        for site, before in record.values.items()
        if site in seen[region] and before.count
    }
    middle = median([db for db, _ in added.values()]) if added else 0.0
    if middle < UNSEEN_DB:
        return []
    worst = max(added, key=lambda site: added[site])
    return [
        Finding(
            worst,
            'too few images',
            evidence.error,
            f'{images} calibration image{"s" if images > 1 else ""}, and at half of '
            'the layers, values outside of all that calibration saw add '
            f'{middle:.1f} dB or more to the error of rounding to 8 bits; most here: '
            f'{added[worst][1]:.2%} of the values are outside',
            'some dozens of images (quantization.calibration.num_images)',
        )
    ]


def unseen(
    before: Sequence[Statistics], now: Sequence[Statistics]
) -> tuple[float, float]:
    """What values cost that were not seen before.

    Args:
        before: Statistics of a site on some images.
        now: Those on others.

    Returns:
        What clipping to the range of the first adds to the error of rounding that range
        to 8 bits, in dB, and the share of the others' values that lie outside of it.
    """
    low, high = min(x.minimum for x in before), max(x.maximum for x in before)
    squares = outside = count = 0.0
    for statistics in now:
        centres, counts = statistics.samples()
        far = torch.maximum(low - centres, centres - high).clamp_min(0)
        squares += float((counts * far.square()).sum())
        outside += float(counts[far > 0].sum())
        count += statistics.count
    count = max(1.0, count)
    width = max(high, 0.0) - min(low, 0.0)
    return added_db(squares / count, width), outside / count
