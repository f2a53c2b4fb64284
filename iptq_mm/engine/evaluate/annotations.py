"""Whether the annotations of a metric are those of the evaluated images."""

from __future__ import annotations

from typing import Any

from mmengine.evaluator import Evaluator

from ...calibration import ConfigError


def check_annotations(evaluator: Evaluator, dataset: Any, split: str) -> None:
    """Refuse an annotation file of other images or classes, before hours are spent.

    mm's metrics that read a file of COCO's format would find out at their end. Others
    have the annotations of the data set itself.

    Args:
        evaluator: Of the images.
        dataset: Of the images.
        split: ``test`` or ``val``, as the config names it.

    Raises:
        ConfigError: If the file has not all of the images and classes.
    """
    for metric in evaluator.metrics:
        truth = getattr(metric, '_coco_api', None)
        look = getattr(dataset, 'get_data_info', None)
        if truth is None or look is None:
            continue
        name = type(metric).__name__
        advice = (
            f'name the annotation file of the {split} images as ann_file of '
            f'{split}_evaluator'
        )
        known = truth.imgs.keys()
        infos = (look(index) for index in range(len(dataset)))
        missing = [i for i in infos if 'img_id' in i and i['img_id'] not in known]
        if missing:
            raise ConfigError(
                f'the annotations of {name} lack {len(missing)} of {len(dataset)} '
                f'{split} images, for instance {missing[0].get("img_path")} (id '
                f'{missing[0]["img_id"]}): {advice}'
            )
        classes = (getattr(metric, 'dataset_meta', None) or {}).get('classes') or ()
        there = {category['name'] for category in truth.cats.values()}
        unknown = [c for c in classes if c not in there]
        if unknown:
            raise ConfigError(
                f'the annotations of {name} lack {len(unknown)} of {len(classes)} '
                f"classes of the {split} data, for instance '{unknown[0]}': {advice}"
            )
