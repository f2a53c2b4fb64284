"""The images on which the float and the integer model differ most."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine import dist
from mmengine.logging import print_log
from torch import Tensor

from ...visualization import side_by_side

#: Images that are kept.
MOST = 8
#: Detections of a lower score do not count, and are not drawn.
LEAST_SCORE = 0.3
#: Objects that overlap by this share of their union are the same one.
_SAME = 0.5
#: Longest side of a kept picture: of a classifier, and of one model of a detector.
_SIDES = (256, 480)
#: Small images are enlarged, so many times at most.
_ZOOM = 4
_QUALITY = 80

#: What the difference of an image is, for people.
MEANING = {
    'classes': 'The difference is half the sum of the absolute differences of all '
    'probabilities: from 0, the same, to 1.',
    'boxes': f'The difference is the sum of the scores of objects that one model alone '
    f'has (score {LEAST_SCORE:g} or more; the same object: same class, boxes overlap '
    'by half), and of the differences of the scores of the others.',
}


class Differing:
    """Keeps the images that differ most, as small pictures.

    Args:
        classes: Names of the classes, by label; empty: labels are shown.
        most: How many to keep.

    Attributes:
        kept: Plain data of each, the largest difference first.
        meaning: What the difference is.
    """

    def __init__(self, classes: Sequence[str] = (), most: int = MOST) -> None:
        self._classes, self._most = classes, most
        self.kept: list[dict[str, Any]] = []
        self.meaning = ''
        self._failed = False

    def see(self, batch: Mapping[str, Any], floats: Any, integers: Any) -> None:
        """Take a batch. What cannot be compared or drawn is a warning, and no error.

        Args:
            batch: As the data loader gives it.
            floats: Predictions of the float model; None: there are none.
            integers: Predictions of the integer model.
        """
        if self._failed:
            return
        try:
            self._take(batch, floats or (), integers)
        except Exception as error:  # predictions of another kind: no run ends for it
            self._failed, self.kept = True, []
            print_log(
                'the images on which float and integer differ most cannot be found '
                f'({type(error).__name__}: {error})',
                'current',
                logging.WARNING,
            )

    def _take(self, batch: Mapping[str, Any], floats: Any, integers: Any) -> None:
        for i, (f, q) in enumerate(zip(floats, integers, strict=False)):
            if _has(f, 'pred_score') and hasattr(q, 'pred_score'):
                self._see(batch, i, f, q, 'classes', _moved(f, q))
            elif _has(f, 'pred_instances') and hasattr(q, 'pred_instances'):
                pair = _strong(f.pred_instances), _strong(q.pred_instances)
                self._see(batch, i, f, q, 'boxes', _unlike(*pair))

    def finish(self) -> list[dict[str, Any]]:
        """The images of all processes that differ most; equal ones are left out.

        Returns:
            Plain data, images as JPEG in base64.
        """
        ranks = dist.all_gather_object(self.kept)
        return _ordered([entry for kept in ranks for entry in kept])[: self._most]

    def _see(
        self, batch: Any, i: int, f: Any, q: Any, kind: str, difference: float
    ) -> None:
        full = len(self.kept) == self._most
        if difference <= (self.kept[-1]['difference'] if full else 0.0):
            return
        self.meaning = MEANING[kind]
        image, name = _image(batch, i, q)
        boxes = kind == 'boxes'
        made = self._drawn(image, f, q) if boxes else _shrunk(image, _SIDES[0])
        entry = {
            'name': name,
            'difference': difference,
            'boxes': boxes,
            'label': '' if boxes else self._label(f),
            'sides': self._sides(f, q, boxes),
            'alt': self._alt(name, boxes),
            'jpeg': _jpeg(made),
        }
        self.kept = _ordered([*self.kept, entry])[: self._most]

    def _name(self, label: int) -> str:
        return self._classes[label] if label < len(self._classes) else f'class {label}'

    def _label(self, sample: Any) -> str:
        labels = getattr(sample, 'gt_label', None)
        if not isinstance(labels, Tensor) or not labels.numel():
            return ''
        return ', '.join(self._name(int(n)) for n in labels.flatten()[:3])

    def _sides(self, f: Any, q: Any, boxes: bool) -> list[str]:
        """What each model says, in words."""
        told = []
        for title, sample in (('float', f), ('integer', q)):
            if boxes:
                found = _strong(sample.pred_instances)
                names = [
                    f'{self._name(int(n))} {float(s):.2f}'
                    for n, s in zip(found.labels[:6], found.scores[:6], strict=True)
                ]
                more = f', and {len(found) - 6} more' if len(found) > 6 else ''
                told.append(f'{title}: {", ".join(names) or "nothing"}{more}')
            else:
                scores, labels = sample.pred_score.float().topk(
                    min(3, sample.pred_score.numel())
                )
                names = [
                    f'{self._name(int(n))} {float(s):.3f}'
                    for n, s in zip(labels, scores, strict=True)
                ]
                told.append(f'{title}: {", ".join(names)}')
        return told

    def _alt(self, name: str, boxes: bool) -> str:
        if boxes:
            return f'{name} with the objects that the float and the integer model found'
        return f'The evaluated image {name}'

    def _drawn(self, image: np.ndarray, f: Any, q: Any) -> np.ndarray:
        """The detections of both models beside each other."""
        found = [
            (title, _strong(sample.pred_instances))
            for title, sample in (('float', f), ('integer', q))
        ]
        labels = [int(n) for _, x in found for n in x.labels]
        names = [self._name(n) for n in range(max(labels, default=0) + 1)]
        zoom = max(1, min(_ZOOM, _SIDES[1] // max(image.shape[:2])))
        drawn = side_by_side(image, found, names, LEAST_SCORE, zoom)
        return _shrunk(drawn, 2 * _SIDES[1])


def _has(sample: Any, name: str) -> bool:
    # Of a float model that did not run now, the class alone is known.
    return hasattr(sample, name) and hasattr(sample, 'metainfo')


def _ordered(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda e: (-e['difference'], e['name']))


def _moved(f: Any, q: Any) -> float:
    """Total variation distance of two distributions over classes."""
    return float((f.pred_score.double() - q.pred_score.double()).abs().sum() / 2)


def _strong(instances: Any) -> Any:
    """Detections that count, the highest score first; equal ones stay in order."""
    instances = instances.cpu()
    found = instances[instances.scores >= LEAST_SCORE]
    return found[found.scores.argsort(descending=True, stable=True)]


def _unlike(f: Any, q: Any) -> float:
    """Scores of objects without a partner, and differences of those with one."""
    total, left = 0.0, list(range(len(q)))
    overlap = _overlaps(f.bboxes, q.bboxes)
    for i in range(len(f)):
        partners = [
            j for j in left if f.labels[i] == q.labels[j] and overlap[i, j] >= _SAME
        ]
        if partners:
            best = max(partners, key=lambda j: float(overlap[i, j]))
            left.remove(best)
            total += abs(float(f.scores[i]) - float(q.scores[best]))
        else:
            total += float(f.scores[i])
    return total + sum(float(q.scores[j]) for j in left)


def _overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes (x1, y1, x2, y2), shape (len(a), len(b))."""
    a, b = a.double()[:, None], b.double()[None]
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    shared = (high - low).clamp_min(0).prod(-1)
    areas = [(x[..., 2:] - x[..., :2]).clamp_min(0).prod(-1) for x in (a, b)]
    return shared / (areas[0] + areas[1] - shared).clamp_min(1e-12)


def _image(batch: Any, i: int, sample: Any) -> tuple[np.ndarray, str]:
    """The image of a sample as RGB, from its file if it has one, and its name."""
    info = sample.metainfo if hasattr(sample, 'metainfo') else {}
    path = str(info.get('img_path') or '')
    read = cv2.imread(path) if path and Path(path).is_file() else None
    if read is not None:
        return read[..., ::-1], '/'.join(Path(path).parts[-2:])
    pixels = batch['inputs'][i].detach().float().cpu()
    if pixels.dim() != 3 or pixels.shape[0] not in (1, 3):
        return np.zeros((32, 32, 3), np.uint8), path
    low, high = (0.0, 255.0) if pixels.max() > 1 else (0.0, 1.0)
    rows = ((pixels - low) / (high - low) * 255).clamp(0, 255).to(torch.uint8)
    image = rows.expand(3, -1, -1).permute(1, 2, 0).numpy()[..., ::-1]
    shape = info.get('ori_shape')  # boxes are in the image as it was
    if shape and hasattr(sample, 'pred_instances'):
        image = cv2.resize(np.ascontiguousarray(image), (shape[1], shape[0]))
    return image, path or f'image {info.get("sample_idx", i)}'


def _shrunk(image: np.ndarray, longest: int) -> np.ndarray:
    scale = longest / max(image.shape[:2])
    if scale >= 1:
        return image
    return cv2.resize(
        np.ascontiguousarray(image),
        None,
        fx=scale,
        fy=scale,
        interpolation=cv2.INTER_AREA,
    )


def _jpeg(image: np.ndarray) -> str:
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    data = cv2.imencode('.jpg', np.ascontiguousarray(image[..., ::-1]), options)[1]
    return base64.b64encode(data.tobytes()).decode()
