"""What the float model gave in an earlier run, in the place of running it again."""

from __future__ import annotations

import copy
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mmengine
from mmengine import dist
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from torch import nn

from ...calibration import ConfigError
from ..loading.foreign import described, foreign_errors
from .identity import identity_of
from .plain import plain

#: What a run writes about its float model, in the work dir.
FLOAT_FILE = 'float.json'

_OTHERWISE = 'run the float model (without --float-results), or do without (--no-float)'
#: What differs, by the name that :func:`~.identity.identity_of` gives it.
_DIFFERENT = {
    'weights': 'another checkpoint',
    'images': 'other images, or the same in another order',
    'pipeline': 'another test pipeline or data_preprocessor',
    'metrics': 'another test_evaluator',
}


@dataclass
class FloatResults:
    """Metrics of a float model.

    Attributes:
        metrics: As ``results.json`` has them.
        seconds: Time that its forward passes took; None: not known.
        identity: What they are of, see :func:`~.identity.identity_of`; what is not
            known is missing.
        classes: The class that it predicted for each image, of a classifier, in the
            order of the data set; None: of another model, or not known.
        source: Where they were read, for messages.
    """

    metrics: dict[str, Any]
    seconds: float | None = None
    identity: dict[str, str] = field(default_factory=dict)
    classes: list[int] | None = None
    source: str = ''

    def text(self) -> str:
        """The contents of the file."""
        return json.dumps(
            {
                'metrics': self.metrics,
                'seconds': self.seconds,
                'identity': self.identity,
                'classes': self.classes,
            }
        )

    def check(self, identity: dict[str, str], images: int) -> None:
        """Refuse results of another model or of another evaluation.

        Args:
            identity: Of this run.
            images: How many it evaluates.

        Raises:
            ConfigError: If something differs.
        """
        differs = [
            _DIFFERENT[name]
            for name, digest in identity.items()
            if self.identity.get(name, digest) != digest
        ]
        if self.classes is not None and len(self.classes) != images:
            differs.append(f'{len(self.classes)} images, where this run has {images}')
        if differs:
            raise ConfigError(
                f'--float-results {self.source}: it was made with '
                f'{" and ".join(differs)}; {_OTHERWISE}'
            )
        unknown = [name for name in identity if name not in self.identity]
        if unknown:
            print_log(
                f'{self.source} does not say of which {" and ".join(unknown)} it is: '
                'taken on trust',
                'current',
                logging.WARNING,
            )


def read_float_results(path: str | os.PathLike) -> FloatResults | None:
    """What a file of ``--float-results`` holds; None: predictions, not read yet.

    Args:
        path: ``float.json`` or ``results.json`` of a run, the folder with them, or
            predictions (``.pkl``) as mm's test tools write them with ``--out``.

    Raises:
        ConfigError: If it is none of these.
        FileNotFoundError: If there is no such file.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FLOAT_FILE
    if not path.is_file():
        raise FileNotFoundError(f'--float-results: there is no file {path}')
    if path.suffix in ('.pkl', '.pickle'):
        return None
    try:
        data = json.loads(path.read_text(encoding='utf-8'))
        if 'metrics' in data:
            return FloatResults(
                dict(data['metrics']),
                data['seconds'],
                dict(data['identity']),
                data['classes'],
                str(path),
            )
        metrics, seconds = dict(data['float']), data['seconds'].get('float')
        identity = dict(data.get('float_identity') or {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f'--float-results {path}: it is neither float.json nor results.json of a '
            f'run, nor predictions (.pkl) of the float model ({described(error)})'
        ) from error
    if not metrics:
        raise ConfigError(
            f'--float-results {path}: its run had no float metrics (--no-float); name '
            'one that had'
        )
    return FloatResults(metrics, seconds, identity, None, str(path))


def results_of_predictions(
    path: str | os.PathLike, evaluator: Evaluator, dataset: Any
) -> FloatResults:
    """Metrics of the predictions of a float model.

    Args:
        path: Pickle file, as mm's test tools write it with ``--out``.
        evaluator: Of the float model; a copy of it is used.
        dataset: Of the evaluated images.

    Raises:
        ConfigError: If these are no predictions of these images.
    """
    what = f'--float-results {path}: it holds no predictions'
    advice = f'name a file that a test with --out has written; or {_OTHERWISE}'
    with foreign_errors(what, advice):
        samples = mmengine.load(str(path))
    if not isinstance(samples, list) or not all(isinstance(s, dict) for s in samples):
        raise ConfigError(f'{what}, but a {type(samples).__name__}; {advice}')
    _check_images(path, samples, dataset)
    classes = [int(s['pred_score'].argmax()) for s in samples if 'pred_score' in s]
    evaluator = copy.deepcopy(evaluator)
    what = f'--float-results {path}: test_evaluator cannot take its predictions'
    with foreign_errors(what, advice):
        # Evaluators put together what the processes have, image by image.
        rank, ranks = dist.get_dist_info()
        for sample in samples[rank::ranks]:
            evaluator.process([sample])
        metrics = evaluator.evaluate(len(samples))
    whole = classes if len(classes) == len(samples) else None
    return FloatResults(plain(metrics), None, {}, whole, str(path))


def _check_images(path: Any, samples: list[dict], dataset: Any) -> None:
    """Refuse predictions of other images, as far as they can be told."""
    if len(samples) != len(dataset):
        raise ConfigError(
            f'--float-results {path}: it has predictions of {len(samples)} images, '
            f'where this run has {len(dataset)}; {_OTHERWISE}'
        )
    look = getattr(dataset, 'get_data_info', None)
    if look is None:
        return
    for index, sample in enumerate(samples):
        there, here = (
            os.path.basename(str(x.get('img_path') or ''))
            for x in (sample, look(index))
        )
        if there and here and there != here:
            raise ConfigError(
                f"--float-results {path}: image {index} is '{there}' there and "
                f"'{here}' in this run; {_OTHERWISE}"
            )


def given_results(
    path: str | os.PathLike,
    model: nn.Module,
    evaluator: Evaluator,
    dataset: Any,
    cfg: Any,
) -> FloatResults:
    """What ``--float-results`` names, if it is of this model and this evaluation.

    Args:
        path: See :func:`read_float_results`.
        model: The float model.
        evaluator: Of the float model.
        dataset: Of the evaluated images.
        cfg: The whole config.

    Raises:
        ConfigError: If it is not.
        FileNotFoundError: If there is no such file.
    """
    given = read_float_results(path)
    if given is None:
        given = results_of_predictions(path, evaluator, dataset)
    given.check(identity_of(model, dataset, cfg), len(dataset))
    return given
