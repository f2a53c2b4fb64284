"""Results for the evaluation servers of COCO: boxes, and masks.

The format is that of cocodataset.org (pages *format-results* and *upload*): a zip file
``detections_TESTSET_NAME_results.zip`` that holds one JSON file of the same name, a
list of ``image_id``, ``category_id``, ``score`` and either ``bbox`` or
``segmentation``. Boxes and masks have servers of their own.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from ...calibration import ConfigError
from ...utils.files import write_whole
from ..loading.foreign import foreign_errors

#: Results, image by image: ``image_id``, ``category_id``, ``score``, ``bbox`` or
#: ``segmentation``.
Results = Iterator[dict[str, Any]]

_TESTSET = re.compile(r'(?:test-dev|test-challenge|test|val|train)\d{4}')
#: Results that COCO's own code loads before the files are handed over.
_TRIED = 2000


class CocoServer:
    """Writes results of a detector.

    Args:
        dataset: Of the test images.
        name: Of the method.
        testset: Name of the test set, ``test-dev2017`` for instance; None: it is in
            the name of the annotation file.

    Raises:
        ConfigError: If the data set is none of COCO's format, or its name is not known.
    """

    def __init__(self, dataset: Any, name: str, testset: str | None = None) -> None:
        self._categories: Any = getattr(dataset, 'cat_ids', None)
        if not self._categories:
            raise ConfigError(
                f'{type(dataset).__name__} has no categories of COCO (cat_ids): use '
                'CocoDataset, without wrappers, and the annotation file of the test '
                'set (image_info_test-dev2017.json)'
            )
        path = str(getattr(dataset, 'ann_file', ''))
        found = _TESTSET.findall(Path(path).name)
        if not testset and not found:
            raise ConfigError(
                f'the name of {path} says of no test set of COCO: name it with '
                '--testset, test-dev2017 for instance'
            )
        self._title = f'detections_{testset or found[-1]}_{name}_results'
        infos = (dataset.get_data_info(i) for i in range(len(dataset)))
        self._sizes = {i['img_id']: (i['height'], i['width']) for i in infos}

    def write(self, samples: list[dict], folder: Path) -> list[Path]:
        """Write the files: ``bbox/*.zip``, and ``segm/*.zip`` if there are masks.

        Args:
            samples: Predictions, as ``DumpDetResults`` of mmdet keeps them.
            folder: Where.

        Raises:
            ConfigError: If they are not predictions of exactly the test images, or do
                not follow the format.
        """
        ids = [sample.get('img_id') for sample in samples]
        if len(set(ids)) != len(ids) or set(ids) != self._sizes.keys():
            both = len(self._sizes.keys() & set(ids))
            raise ConfigError(
                f'the predictions are of {len(ids)} images, {both} of them among the '
                f'{len(self._sizes)} of the test set: the server wants each of these'
            )
        kinds: dict[str, Callable[[dict], Results]] = {'bbox': self._boxes}
        if any('masks' in sample['pred_instances'] for sample in samples):
            kinds['segm'] = self._masks
        written = []
        for kind, results_of in kinds.items():
            self._try(r for sample in samples for r in results_of(sample))
            path = folder / kind / f'{self._title}.zip'
            results = (r for sample in samples for r in results_of(sample))
            write_whole(path, lambda p, r=results: self._zip(p, r))  # type: ignore
            written.append(path)
        return written

    def _boxes(self, sample: dict) -> Results:
        pred = sample['pred_instances']
        boxes = np.asarray(pred['bboxes'], dtype=np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        for result, box in zip(self._common(sample, 'scores'), boxes, strict=True):
            yield {**result, 'bbox': [_short(x) for x in box]}

    def _masks(self, sample: dict) -> Results:
        """Masks, without the boxes that mmdet puts beside them.

        Where there is a box, COCO's code takes the area of the box for that of the
        mask, which moves objects between small, medium and large.
        """
        pred = sample['pred_instances']
        scores = 'mask_scores' if 'mask_scores' in pred else 'scores'
        for result, mask in zip(
            self._common(sample, scores), pred['masks'], strict=True
        ):
            counts = mask['counts']
            counts = counts.decode() if isinstance(counts, bytes) else counts
            size = [int(x) for x in mask['size']]
            yield {**result, 'segmentation': {'size': size, 'counts': counts}}

    def _common(self, sample: dict, scores: str) -> Results:
        pred: Any = sample['pred_instances']
        for label, score in zip(
            pred['labels'].tolist(), pred[scores].tolist(), strict=True
        ):
            yield {
                'image_id': int(sample['img_id']),
                'category_id': int(self._categories[label]),
                'score': _short(score),
            }

    def _zip(self, path: Path, results: Results) -> None:
        """Write results one by one: a whole test set fits no small memory."""
        with (
            zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file,
            file.open(f'{self._title}.json', 'w', force_zip64=True) as stream,
        ):
            separator = '['
            for result in results:
                self._check(result)
                text = json.dumps(result, separators=(',', ':'), allow_nan=False)
                stream.write(f'{separator}{text}'.encode())
                separator = ',\n'
            stream.write(b']' if separator != '[' else b'[]')

    def _check(self, result: dict[str, Any]) -> None:
        """Refuse what the server would."""
        height, width = self._sizes[result['image_id']]
        sound = 0 <= result['score'] <= 1
        if 'bbox' in result:
            x, y, w, h = result['bbox']
            sound &= all(map(math.isfinite, (x, y, w, h))) and w >= 0 and h >= 0
        else:
            sound &= result['segmentation']['size'] == [height, width]
        if not sound:
            raise ConfigError(
                f'image {result["image_id"]} of {height}x{width} pixels has a result '
                f'that the format does not allow: {str(result)[:200]}'
            )

    def _try(self, results: Results) -> None:
        """Let COCO's own code load some of the results."""
        some = [dict(result) for result in islice(results, _TRIED)]
        if not some:
            raise ConfigError('nothing is detected in any image: is the model trained?')
        truth = COCO()
        truth.dataset = {
            'images': [
                {'id': i, 'height': h, 'width': w} for i, (h, w) in self._sizes.items()
            ],
            'categories': [{'id': i, 'name': str(i)} for i in self._categories],
            'annotations': [],
        }
        truth.createIndex()
        with foreign_errors('pycocotools refuses the results', 'please report it'):
            truth.loadRes(some)


def _short(value: float) -> float:
    """A number of 32 bits with no more digits than tell it from its neighbours."""
    return float(str(np.float32(value)))
