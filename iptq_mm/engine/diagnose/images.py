"""Whether calibration saw images like those of the evaluation, and enough of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...record import RegionRecord
from ...statistics import Statistics
from ..report.inputs import FEW, UNSEEN, moments, unlike
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
