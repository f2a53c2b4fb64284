"""What a quantization leaves behind: checkpoint and config that mm tools load."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from torch import nn

from ..calibration import ConfigError
from ..utils.files import atomic_save, atomic_write
from ..version import __version__
from .quantize import unwrapped

#: Settings of a quantization, which its result has no use for.
_OF_THE_RUN = ('quantization', 'candidates', 'random_weights', 'backend')


def save_quantized(
    model: nn.Module, path: str | os.PathLike, dataset_meta: dict | None = None
) -> None:
    """Write the integer checkpoint.

    It holds tensors and plain types only, so that ``weights_only=True`` reads
    it: integers under the usual names, and the plan of each region.

    Args:
        model: The quantized model.
        path: File to write; it is whole or not there.
        dataset_meta: Classes and palette, for mm's inferencers.
    """
    meta = {'iptq_mm_version': __version__, 'dataset_meta': _plain(dataset_meta or {})}
    state = {
        k: v.detach().cpu().clone() for k, v in unwrapped(model).state_dict().items()
    }
    atomic_save({'meta': meta, 'state_dict': state}, path)


def export_config(
    cfg: Config, regions: list[str], checkpoint: str, backend: str | None = None
) -> Config:
    """The config that loads the integer checkpoint.

    Args:
        cfg: The config that was quantized.
        regions: Its regions, as paths in ``cfg.model``.
        checkpoint: File name of the checkpoint, beside the config.
        backend: What runs the regions; None: the eager integer mode.

    Returns:
        ``cfg`` with the regions' types replaced and all that concerns
        quantization taken out, so that mm's tools take it for a usual one.

    Raises:
        ConfigError: If a region is no module that the config builds.
    """
    cfg = copy.deepcopy(cfg)
    for node in [n for name in regions for n in region_configs(cfg.model, name)]:
        node['float_type'] = scoped_type(node['type'], cfg.get('default_scope'))
        node['type'] = 'iptq_mm.build_quantized'
        if backend:
            node['backend'] = backend
        if 'init_cfg' in node:
            node['init_cfg'] = None
    for key in (*_OF_THE_RUN, 'work_dir', 'launcher'):
        cfg.pop(key, None)
    cfg.custom_hooks = usual_hooks(cfg)
    cfg.test_cfg = {**(cfg.get('test_cfg') or {}), 'type': 'TestLoop'}
    imports = cfg.get('custom_imports') or {'imports': []}
    names = (
        [imports['imports']]
        if isinstance(imports['imports'], str)
        else imports['imports']
    )
    cfg.custom_imports = dict(
        imports=sorted({*names, 'iptq_mm'}), allow_failed_imports=False
    )
    # mmengine fills in the folder, so that the work dir may be moved.
    cfg.load_from = '{{ fileDirname }}/' + checkpoint
    cfg.resume = False
    return cfg


def write_config(cfg: Config, path: str | os.PathLike) -> None:
    """Write a config as a python file; it is whole or not there."""
    atomic_write(Path(path), cfg.pretty_text)


def region_configs(model: ConfigDict, region: str) -> list[ConfigDict]:
    """The parts of ``cfg.model`` that build a region.

    Args:
        model: ``cfg.model``.
        region: A path in it. A list of parts (the stages of a cascade) has all of
            its members; one dict may stand for all stages, too. So has a head of
            several tasks, a dict of parts by name.

    Raises:
        ConfigError: If there are none.
    """
    node: Any = model
    try:
        for part in region.split('.'):
            node = node[int(part)] if part.isdigit() else node[part]
    except (KeyError, IndexError, TypeError):
        node = None
    nodes = _parts(node)
    if not nodes or not all(isinstance(n, dict) and 'type' in n for n in nodes):
        raise ConfigError(
            f"region '{region}' is not built by the config: use a part that has a "
            f'dict(type=...) of its own in model, one of '
            f'{[k for k, v in model.items() if isinstance(v, dict) and "type" in v]}'
        )
    return nodes


def _parts(node: Any) -> list[Any]:
    """What a part stands for, as calibration has it: itself, or all of its members."""
    if isinstance(node, dict) and 'task_heads' in node:
        node = node['task_heads']
    if isinstance(node, dict) and 'type' not in node:
        node = list(node.values())
    if isinstance(node, list | tuple):
        return [part for member in node for part in _parts(member)]
    return [node]


def scoped_type(kind: str | type, scope: str | None) -> str:
    """The registered type of a module, with its scope."""
    if not isinstance(kind, str):  # configs in pure Python hold classes
        return f'{kind.__module__}.{kind.__qualname__}'
    return kind if '.' in kind or not scope else f'{scope}.{kind}'


def usual_hooks(cfg: Config) -> list[Any]:
    """The custom hooks of a config but those that must not touch integers.

    ``EMAHook`` swaps weights before every test; checkpoints hold the averaged
    ones already.
    """
    without = ('QuantizationHook', 'EMAHook')
    return [
        hook
        for hook in cfg.get('custom_hooks') or []
        if not isinstance(hook, dict)
        or scoped_type(hook['type'], None).rpartition('.')[2] not in without
    ]


def _plain(value: Any) -> Any:
    """Plain types, as ``weights_only`` loading wants them."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(v) for v in value]
    if isinstance(value, torch.Tensor) or value is None:
        return value
    if isinstance(value, bool | int | float | str):
        return value
    return value.tolist() if hasattr(value, 'tolist') else str(value)
