"""The training images, seen through the pipeline of the evaluation."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import DATASETS

from ...calibration.config import ConfigError
from .datasets import built, dataset_of, explained, is_given, options_of
from .nodes import leaf_nodes, wrapped_nodes
from .wrappers import changed, leaves, unrepeated

_INSTEAD = 'name the images in quantization.calibration.dataloader'
#: Arguments of transforms that say where their files lie.
_STORAGE = ('backend_args', 'file_client_args')


def training_images(cfg: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The training dataset with the pipeline of the evaluation.

    Which images it has is decided as in training: nothing of its config changes but
    the pipelines. Wrappers that repeat images are taken off, those that concatenate
    or select stay.

    Args:
        cfg: Holds ``train_dataloader``, and ``test_dataloader`` or
            ``val_dataloader``: configs, built dataloaders, or configs with a built
            dataset.

    Returns:
        The dataset, and what else its dataloader takes from the evaluation's.

    Raises:
        ConfigError: If one is missing or cannot be built, or the evaluation has no
            pipeline.
    """
    keys = ('test_dataloader', 'val_dataloader')
    loaders = (cfg.get(key) for key in keys)
    evaluation = next((loader for loader in loaders if is_given(loader)), None)
    train = cfg.get('train_dataloader')
    given = is_given(train) and dataset_of(train) is not None
    if not given or evaluation is None or dataset_of(evaluation) is None:
        raise ConfigError(
            'there is nothing to calibrate on: give train_dataloader and '
            'test_dataloader, or quantization.calibration.dataloader'
        )
    pipeline = _pipeline_of(dataset_of(evaluation))
    shown = [_takes_pipeline(node) for node in leaf_nodes(dataset_of(train))]
    if pipeline is None and any(shown):
        raise ConfigError(
            "the evaluation's dataset shows no pipeline that the training images could "
            f'be seen through: {_INSTEAD}'
        )
    with explained('the calibration images', dataset_of(train)):
        dataset = built(_exchanged(dataset_of(train), pipeline))

    def prepare(leaf: Any) -> None:
        if pipeline is not None and not all(shown):
            _give_pipeline(leaf, pipeline)
        if isinstance(leaf, BaseDataset):
            leaf.test_mode = True  # its images are chosen: hand them out as there

    return changed(unrepeated(dataset), prepare), options_of(evaluation)


def _takes_pipeline(node: Any) -> bool:
    """Whether a dataset is given a pipeline by its config, or can be."""
    if not isinstance(node, Mapping) or 'pipeline' in node:
        return isinstance(node, Mapping)
    kind = node.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    return callable(kind) and 'pipeline' in inspect.signature(kind).parameters


def _exchanged(node: Any, pipeline: Sequence[Any] | None) -> Any:
    """A dataset config with another pipeline at the bottom and none in wrappers."""
    if not isinstance(node, Mapping):
        return node
    node, inside = dict(node), wrapped_nodes(node)
    if inside:
        inside = [_exchanged(child, pipeline) for child in inside]
        if node.get('datasets'):
            node['datasets'] = inside
        else:
            node['dataset'] = inside[0]
        if 'pipeline' in node:
            node['pipeline'] = []
        return node
    # Images without objects show activations like any others.
    node.pop('filter_cfg', None)
    if pipeline is not None and _takes_pipeline(node):
        node['pipeline'] = _reading_from(node.get('pipeline'), pipeline)
    return node


def _reading_from(own: Any, pipeline: Sequence[Any]) -> list[Any]:
    """The evaluation's pipeline, reading from the storage that training reads from."""
    transforms = [t for t in own or () if isinstance(t, Mapping)]
    result = []
    for transform in copy.copy(pipeline):
        if isinstance(transform, Mapping):
            transform = copy.deepcopy(dict(transform))
            same = [t for t in transforms if t.get('type') == transform.get('type')]
            for name in _STORAGE if same else ():
                transform.pop(name, None)
                if name in same[0]:
                    transform[name] = same[0][name]
        result.append(transform)
    return result


def _pipeline_of(dataset: Any) -> list[Any] | None:
    """The pipeline of the (first) evaluation dataset; None if it shows none."""
    first = leaf_nodes(dataset)[0]
    if isinstance(first, Mapping) and first.get('pipeline'):
        return list(first['pipeline'])
    with explained('the evaluation images', dataset):
        leaf = next(leaves(built(dataset)))
        pipeline = getattr(leaf, 'pipeline', None)
        if not callable(pipeline):
            return None
        if getattr(pipeline, 'transforms', True):
            return [pipeline]
        sample = leaf[0]
    if not isinstance(sample, Mapping) or 'inputs' not in sample:
        raise ConfigError(
            f"the evaluation's dataset ({type(leaf).__name__}) has no pipeline: "
            'nothing would load its images; give test_dataloader.dataset one'
        )
    return [pipeline]


def _give_pipeline(leaf: Any, pipeline: list[Any]) -> None:
    if not callable(getattr(leaf, 'pipeline', None)):
        raise ConfigError(
            f'the training dataset ({type(leaf).__name__}) has no pipeline that the '
            f"evaluation's could replace: {_INSTEAD}"
        )
    leaf.pipeline = Compose(pipeline)
