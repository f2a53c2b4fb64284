"""The integer checkpoint and its config, which mm's tools load."""

from __future__ import annotations

import copy
import os
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from ...calibration import ConfigError
from ...models.quantized import NOTICE
from ...modes import regions_in
from ...plan import RegionPlan
from ...plan.packed_state import PLAN_KEY, pack_state
from ...utils.files import atomic_save, write_whole
from ...version import __version__
from ..loading.models import unwrapped
from ..loading.pretrained import without_pretrained
from ..loading.scopes import full_type, region_holder, region_scopes, type_name
from ..quantize.model_state import whole_state
from .config_text import BESIDE, config_text

#: Settings of the quantization, which the written config does not need.
_OF_THE_RUN = ('quantization', 'qat', 'candidates', 'random_weights', 'backend')


def save_quantized(
    model: nn.Module, path: str | os.PathLike, dataset_meta: dict | None = None
) -> None:
    """Write the integer checkpoint.

    It holds tensors and plain types only, so that ``weights_only=True`` reads
    it: integers under the usual names, or packed if they have few bits
    (:mod:`iptq_mm.plan.packed_state`), and the plan of each region.

    Args:
        model: The quantized model.
        path: File to write; it is whole or not there.
        dataset_meta: Classes and palette, for mm's inferencers.
    """
    meta = {'iptq_mm_version': __version__, 'dataset_meta': _plain(dataset_meta or {})}
    atomic_save({'meta': meta, 'state_dict': quantized_state(model)}, path)


def quantized_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict of a quantized model as files have it: copies, few bits packed.

    Args:
        model: The quantized model.
    """
    model = unwrapped(model)
    state = whole_state(model)
    for key, value in state.items():
        state[key] = value.detach().cpu().clone()
    for name in regions_in(model):
        plan = RegionPlan.from_tensor(state[f'{name}.{PLAN_KEY}'])
        pack_state(state, f'{name}.', plan)
        state[f'{name}.{NOTICE}'] = torch.empty(0, dtype=torch.uint8)
    return state


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
    cfg.model = _unshared(cfg.model)
    scope = cfg.get('default_scope')
    found, within = [], []
    for name in regions:
        try:
            found += region_scopes(cfg.model, name, scope)
        except ConfigError:  # code makes it, such as the encoder of a DETR
            within.append(region_holder(cfg.model, name, scope))
    for node, inner, part in within:
        if 'parts' not in node:
            node['float_type'] = full_type(node['type'], inner)
            node.update(without_pretrained(node))
            node['type'], node['parts'] = 'iptq_mm.build_quantized', []
            if backend:
                node['backend'] = backend
        node['parts'].append(part)
    for node, scope in {id(node): (node, scope) for node, scope in found}.values():
        kind = full_type(node['type'], scope)
        # Weights come from the checkpoint: none are to be fetched.
        node.update(without_pretrained(node))
        if 'init_cfg' in node:
            node['init_cfg'] = None
        node['float_type'] = kind
        node['type'] = 'iptq_mm.build_quantized'
        if backend:
            node['backend'] = backend
    for key in (*_OF_THE_RUN, 'work_dir', 'launcher'):
        cfg.pop(key, None)
    cfg.custom_hooks = usual_hooks(cfg)
    cfg.test_cfg = {**(cfg.get('test_cfg') or {}), 'type': 'TestLoop'}
    cfg.custom_imports = _imports(cfg.get('custom_imports') or {})
    # mmengine fills in the folder, so that the work dir may be moved.
    cfg.load_from = BESIDE + checkpoint
    cfg.resume = False
    return cfg


def _imports(given: dict[str, Any]) -> dict[str, Any]:
    """The modules that the user's config imports, in their order, and this one."""
    names = given.get('imports') or []
    names = [names] if isinstance(names, str) else names
    # First, as in the run: what it repairs, others import.
    return dict(
        imports=list(names) if 'iptq_mm' in names else ['iptq_mm', *names],
        allow_failed_imports=bool(given.get('allow_failed_imports')),
    )


def _unshared(node: Any) -> Any:
    """A copy of a config none of whose parts is in two places."""
    if isinstance(node, dict):
        # Not by items(), which would import what is lazy.
        return type(node)({k: _unshared(v) for k, v in dict.items(node)})
    if isinstance(node, list | tuple):
        return type(node)(map(_unshared, node))
    return node


def write_config(cfg: Config, path: str | os.PathLike) -> None:
    """Write a config as a python file; it is whole or not there.

    Raises:
        ConfigError: If a value cannot be written; names its key.
    """
    text = config_text(cfg).encode()  # mmengine reads UTF-8, whatever the locale is
    write_whole(path, lambda beside: beside.write_bytes(text))


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
        or type_name(hook['type']).rpartition('.')[2] not in without
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
