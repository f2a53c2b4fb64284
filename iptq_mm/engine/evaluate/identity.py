"""What a float model, its images and its metrics are, to tell results of others."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from torch import nn

from ..quantize.state import weights_digest

#: Settings that say where files are, not what is evaluated.
_PLACES = ('data_root', 'outfile_prefix', 'out_file_path', 'backend_args', 'work_dir')


def identity_of(model: nn.Module, dataset: Any, cfg: Mapping[str, Any]) -> dict:
    """Digests of everything that float metrics depend on.

    Args:
        model: The float model.
        dataset: Of the evaluated images.
        cfg: The whole config.

    Returns:
        By name what is compared: ``weights``, ``images`` (their names and labels, in
        order), ``pipeline`` (with the preprocessor) and ``metrics``. Folders do not
        count, so that results can be used where the data lie elsewhere.
    """
    loader = cfg.get('test_dataloader') or {}
    config = loader.get('dataset') if isinstance(loader, Mapping) else None
    model_cfg = cfg.get('model') or {}
    preprocessor = cfg.get('data_preprocessor') or model_cfg.get('data_preprocessor')
    return {
        'weights': weights_digest(model),
        'images': images_digest(dataset),
        'pipeline': _digest([_pipelines(config), _tested(preprocessor)]),
        'metrics': _digest(_without_dumps(cfg.get('test_evaluator'))),
    }


def images_digest(dataset: Any) -> str:
    """Digest of the names and labels of the images of a data set, in their order."""
    digest = hashlib.sha256(str(len(dataset)).encode())
    look = getattr(dataset, 'get_data_info', None)
    for index in range(len(dataset)):
        if look is None:
            break
        digest.update(repr(_named(look(index))).encode())
    return digest.hexdigest()


def _named(info: Any) -> tuple:
    if not isinstance(info, Mapping):
        return ()
    path = str(info.get('img_path') or '').replace(os.sep, '/')
    # The folder of an image may be its class, or tell it from one of the same name.
    name = '/'.join(path.split('/')[-2:])
    label: Any = info.get('gt_label')
    return (
        name,
        info.get('img_id'),
        label.tolist() if hasattr(label, 'tolist') else label,
    )


def _digest(value: Any) -> str:
    text = json.dumps(_placeless(value), sort_keys=True, default=_name)
    return hashlib.sha256(text.encode()).hexdigest()


def _name(value: Any) -> str:
    """A name that is the same in every process."""
    return str(getattr(value, '__qualname__', type(value).__qualname__))


def _placeless(value: Any) -> Any:
    """Settings with the names of files in the place of their paths."""
    if isinstance(value, dict):
        # Not by items(), which would import what is lazy.
        return {
            str(k): _placeless(v) for k, v in dict.items(value) if str(k) not in _PLACES
        }
    if isinstance(value, list | tuple):
        return [_placeless(v) for v in value]
    if isinstance(value, str) and '/' in value:
        return os.path.basename(value.rstrip('/'))
    return value


def _pipelines(config: Any) -> Any:
    """All pipelines in the config of a data set, wrappers included."""
    if isinstance(config, dict):
        items = list(dict.items(config))
        own = [v for k, v in items if k == 'pipeline']
        return own + [f for k, v in items if k != 'pipeline' for f in _pipelines(v)]
    if isinstance(config, list | tuple):
        return [found for part in config for found in _pipelines(part)]
    return []


def _tested(preprocessor: Any) -> Any:
    """What a preprocessor does to tested images.

    mmpretrain adds two keys when it builds a model, and configs that are written after
    that have them.
    """
    if not isinstance(preprocessor, dict):
        return preprocessor
    kept = {k: v for k, v in dict.items(preprocessor) if k != 'batch_augments'}
    if str(kept.get('type')).rpartition('.')[2] == 'ClsDataPreprocessor':
        del kept['type']
    return kept


def _without_dumps(evaluator: Any) -> list:
    evaluators = evaluator if isinstance(evaluator, list | tuple) else [evaluator]
    return [
        e
        for e in evaluators
        if not (isinstance(e, Mapping) and 'Dump' in str(e.get('type')))
    ]
