"""A detector: the programs of its regions, and the steps between them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..library import Error
from ..model import Model
from .boxes import anchors, by_score, decoded, kept
from .exact import added, sigmoid, softmax
from .masks import pasted
from .pooling import pooled

#: Version of ``detector.json``.
VERSION = 1


@dataclass(frozen=True)
class Detections:
    """What a detector found, by falling score.

    Attributes:
        boxes: (x1, y1, x2, y2) in pixels, of shape (n, 4), in doubles.
        scores: From 0 to 1, in doubles.
        labels: Numbers of the classes.
        masks: Which pixels belong to each, of shape (n, height, width); None: the
            detector has no masks.
        integers: All that the regions gave, for boxes that exist, in the order of the
            calls.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None
    integers: list[np.ndarray]

    @property
    def arrays(self) -> list[np.ndarray]:
        """Every number, in an order: what a digest is made of."""
        found = [*self.integers, self.boxes, self.scores, self.labels]
        return found if self.masks is None else [*found, self.masks.astype(np.int8)]


class Detector:
    """A two-stage detector: one stage of boxes or a cascade, with or without masks.

    Args:
        settings: The contents of ``detector.json``.
        models: The programs, by the names that the settings give them.

    Raises:
        Error: If the settings are of another version.
    """

    def __init__(
        self, settings: Mapping[str, Any], models: Mapping[str, Callable[..., Any]]
    ) -> None:
        if settings.get('version') != VERSION:
            raise Error(
                f'detector.json has version {settings.get("version")}, this package '
                f'reads {VERSION}: export the detector again'
            )
        self.settings = settings
        self._models: Mapping[str, Any] = models
        first = self._models[settings['trunk']['file']]
        self._maps = [first.outputs[i] for i in settings['trunk']['maps']]
        self._anchors = [
            anchors(base, stride, first.outputs[output].shape[2:])
            for base, stride, output in zip(
                settings['proposals']['anchors'],
                settings['proposals']['strides'],
                settings['trunk']['scores'],
                strict=True,
            )
        ]

    @classmethod
    def open(cls, folder: str | os.PathLike[str], threads: int = 1) -> Detector:
        """Open a folder that ``tools/export.py --to detector`` wrote.

        Raises:
            Error: If a file cannot be read.
        """
        try:
            text = Path(folder, 'detector.json').read_text(encoding='utf-8')
            settings = json.loads(text)
        except (OSError, ValueError) as error:
            raise Error(f'{folder} is no folder of a detector: {error}') from None
        parts = [settings['trunk'], *settings['boxes']['stages']]
        parts += (settings['masks'] or {}).get('stages', [])
        names = [part['file'] for part in parts]
        opened = {name: Model(Path(folder, name), threads) for name in names}
        return cls(settings, opened)

    @property
    def classes(self) -> list[str]:
        """Names of the classes; empty if they have none."""
        return list(self.settings['classes'])

    def __call__(self, image: np.ndarray) -> Detections:
        """Detect objects.

        Args:
            image: Bytes of shape (1, channels, height, width), in the order of channels
                that the first program names.
        """
        trunk, kept_ = self.settings['trunk'], []
        outputs = self._models[trunk['file']](image, integers=True)
        kept_.extend(outputs)
        maps = [outputs[i] for i in trunk['maps']]
        boxes = self._proposals(outputs)
        boxes, scores, labels = self._boxes(maps, boxes, kept_)
        masks = None
        if self.settings['masks'] is not None:
            masks = self._masks(maps, boxes, labels, kept_)
        return Detections(boxes, scores, labels, masks, kept_)

    def _proposals(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Boxes that may hold an object, by falling score."""
        settings, trunk = self.settings['proposals'], self.settings['trunk']
        ports = self._models[trunk['file']].outputs
        boxes, scores, groups = [], [], []
        for level, from_ in enumerate(self._anchors):
            at, moved = trunk['scores'][level], trunk['deltas'][level]
            score = _by_place(outputs[at], 1)[:, 0] * ports[at].scale
            delta = _by_place(outputs[moved], 4) * ports[moved].scale
            most = settings['candidates']
            chosen = np.arange(len(score))
            if 0 < most < len(score):
                chosen = by_score(score)[:most]
            boxes.append(
                decoded(
                    from_[chosen],
                    delta[chosen],
                    settings['coder'],
                    self.settings['image'],
                )
            )
            scores.append(score[chosen])
            groups.append(np.full(len(chosen), level))
        all_boxes, all_scores = np.concatenate(boxes), np.concatenate(scores)
        all_groups = np.concatenate(groups)
        sides = all_boxes[:, 2:] - all_boxes[:, :2]
        large = np.flatnonzero((sides > settings['smallest']).all(axis=1))
        remain = kept(
            all_boxes[large],
            all_scores[large],
            all_groups[large],
            settings['overlap'],
            settings['count'],
        )
        return all_boxes[large][remain]

    def _boxes(
        self, maps: Sequence[np.ndarray], boxes: np.ndarray, kept_: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The boxes of objects, their scores and labels."""
        settings, size = self.settings['boxes'], self.settings['image']
        stages, logits = settings['stages'], []
        for number, stage in enumerate(stages):
            ports = self._models[stage['file']].outputs
            made = self._head(stage['file'], maps, boxes, settings['pool'])
            kept_.extend(made)
            logits.append(made[stage['scores']] * ports[stage['scores']].scale)
            deltas = made[stage['deltas']] * ports[stage['deltas']].scale
            if number + 1 < len(stages):
                if not stage['agnostic']:
                    best = logits[-1][:, :-1].argmax(axis=1)
                    deltas = _of_class(deltas, best)
                boxes = decoded(boxes, deltas, stage['coder'], size)
        scores = softmax(added(logits) / len(logits))[:, :-1]
        of_box, labels = np.nonzero(scores > settings['least'])
        chosen = deltas[of_box]
        if not stages[-1]['agnostic']:
            chosen = _of_class(chosen, labels)
        boxes = decoded(boxes[of_box], chosen, stages[-1]['coder'], size)
        found = scores[of_box, labels]
        order = kept(boxes, found, labels, settings['overlap'], settings['count'])
        return boxes[order], found[order], labels[order].astype(np.int32)

    def _masks(
        self,
        maps: Sequence[np.ndarray],
        boxes: np.ndarray,
        labels: np.ndarray,
        kept_: list[np.ndarray],
    ) -> np.ndarray:
        """Which pixels belong to each box."""
        settings, size = self.settings['masks'], self.settings['image']
        grids = []
        for stage in settings['stages']:
            (port,) = self._models[stage['file']].outputs
            (made,) = self._head(stage['file'], maps, boxes, settings['pool'])
            kept_.append(made)
            own = labels if made.shape[1] > 1 else np.zeros_like(labels)
            grids.append(sigmoid(made[np.arange(len(boxes)), own] * port.scale))
        mean = added(grids) / len(grids)
        masks = [
            pasted(grid, box, size, settings['threshold'])
            for grid, box in zip(mean, boxes, strict=True)
        ]
        return np.stack(masks) if masks else np.zeros((0, *size), bool)

    def _head(
        self,
        name: str,
        maps: Sequence[np.ndarray],
        boxes: np.ndarray,
        pool: Mapping[str, Any],
    ) -> list[np.ndarray]:
        """What a head gives for boxes; its program takes a number of them at once."""
        model = self._models[name]
        (port,) = model.inputs
        given = pooled(maps, self._maps, boxes, pool, port)
        at_once = port.shape[0]
        calls = []
        for first in range(0, len(given), at_once):
            part = np.zeros(port.shape, port.dtype)
            some = given[first : first + at_once]
            part[: len(some)] = some
            outputs = model(part, integers=True)
            calls.append([x[: len(some)] for x in outputs])
        if not calls:
            return [np.zeros((0, *p.shape[1:]), p.dtype) for p in model.outputs]
        return [np.concatenate(parts) for parts in zip(*calls, strict=True)]


def pixels_of(image: np.ndarray) -> np.ndarray:
    """Returns an image (height, width, channels) as a program takes it."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def _by_place(output: np.ndarray, numbers: int) -> np.ndarray:
    """Numbers of each anchor, in the order of :func:`.boxes.anchors`."""
    return output[0].transpose(1, 2, 0).reshape(-1, numbers)


def _of_class(deltas: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of the deltas for every class, those of one."""
    each = deltas.reshape(len(deltas), deltas.shape[1] // 4, 4)
    return each[np.arange(len(labels)), labels]
