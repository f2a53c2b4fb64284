"""Detectors in Python and in node, and beside the detections of mmdet."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from iptq_runtime.detection import Detections, Detector

from iptq_mm.engine.export.detector import DetectorPrograms
from iptq_mm.program import Program
from iptq_mm.program.backends.boundary import TORCH, quantized_inputs

from .programs import ProgramModel


def detector_in_python(made: DetectorPrograms) -> Detector:
    """Returns a detector whose programs the native back end of Python runs."""
    models = {name: ProgramModel(x) for name, x in made.programs.items()}
    return Detector(made.settings, models)


def pictures(
    model: Any, first: Program, loader: Any, count: int
) -> Iterator[tuple[Any, torch.Tensor]]:
    """Gives batches of a test set, and the integers that enter the first program.

    Args:
        model: A model of mm.
        first: Its first program.
        loader: Its test images, one by one.
        count: How many.

    Raises:
        ValueError: If the pipeline gives something else than bytes of one size.
    """
    shape = first.values[first.inputs[0].value].shape[1:]
    for batch in islice(loader, count):
        picture = batch['inputs'][0]
        if picture.dtype != torch.uint8 or picture.shape != shape:
            raise ValueError(f'the test pipeline has to give bytes of shape {shape}')
        data = model.data_preprocessor(batch, False)['inputs']
        (integers,) = quantized_inputs(first, [data], TORCH)
        yield batch, integers


def pixel_bytes(integers: torch.Tensor) -> np.ndarray:
    """Returns pixels as bytes, from the integers that stand for them."""
    return (integers.short() + 128).to(torch.uint8).numpy()


@dataclass
class Differences:
    """Detections of one runtime beside those of another.

    Attributes:
        objects: How many were looked at.
        missing: How many have no counterpart of their class.
        box: The largest difference of a coordinate, in pixels.
        score: The largest difference of a score.
        mask: The smallest intersection over union of masks.
    """

    objects: int = 0
    missing: int = 0
    box: float = 0.0
    score: float = 0.0
    mask: float = 1.0

    def add(self, found: Detections, wanted: Any, least: float) -> None:
        """Look at an image.

        Args:
            found: What is compared.
            wanted: ``pred_instances`` of mmdet.
            least: Objects of lower scores are not looked for.
        """
        masks = np.asarray(getattr(wanted, 'masks', []))
        boxes, labels = wanted.bboxes.double().numpy(), wanted.labels.numpy()
        for i, score in enumerate(wanted.scores.tolist()):
            if score < least:
                continue
            self.objects += 1
            apart = np.abs(found.boxes - boxes[i]).max(axis=1, initial=0.0)
            apart[found.labels != labels[i]] = np.inf
            if not len(apart) or apart.min() > 1.0:
                self.missing += 1
                continue
            j = int(apart.argmin())
            self.box = max(self.box, float(apart[j]))
            self.score = max(self.score, abs(float(found.scores[j]) - score))
            if found.masks is not None:
                one, other = found.masks[j], masks[i]
                if (one | other).any():
                    share = (one & other).sum() / (one | other).sum()
                    self.mask = min(self.mask, float(share))

    def __str__(self) -> str:
        return (
            f'{self.objects} objects, {self.missing} without a counterpart; boxes '
            f'differ by up to {self.box:.4f} pixels, scores by up to {self.score:.4f}, '
            f'masks have an intersection over union of at least {self.mask:.4f}'
        )


def detected_in_node(
    package: Path, folder: Path, images: Sequence[np.ndarray], variant: str
) -> list[dict[str, Any]]:
    """Returns what ``iptq-detect`` says of images.

    Args:
        package: The package of JavaScript.
        folder: The detector.
        images: Bytes of shape (1, channels, height, width).
        variant: Of the module.

    Raises:
        RuntimeError: If it fails, with what it said.
    """
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, 'images.npy')
        np.save(path, np.concatenate(images))
        script = package / 'detection' / 'run.js'
        command = ['node', script, folder, path, '--isa', variant]
        made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        raise RuntimeError(made.stderr)
    return [json.loads(line) for line in made.stdout.splitlines()]
