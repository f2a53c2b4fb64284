"""Reads a written result again, to make sure that it is the model."""

from __future__ import annotations

import copy
import functools
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...calibration import ConfigError
from ...modes import regions_in
from ..loading.models import build_model, unwrapped
from ..quantize.augmentation import inside
from ..quantize.model_state import whole_state
from .config_text import config_text


def check_readable(cfg: Config) -> None:
    """Make sure that a config can be written, and says the same when it is read.

    Args:
        cfg: The config that is to be written.

    Raises:
        ConfigError: If it cannot, or does not; names the keys.
    """
    text = config_text(cfg)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'integer.py')
        path.write_bytes(text.encode())
        try:
            found = Config.fromfile(path, import_custom_modules=False)
        except Exception as error:  # whatever a line of Python can raise
            raise ConfigError(
                f'the config of the result could not be read: {error}'
            ) from error
    found.load_from = cfg.load_from
    if config_text(found) != text:
        keys = {*cfg.keys(), *found.keys()}
        differ = sorted(k for k in keys if _text(cfg, k) != _text(found, k))
        raise ConfigError(
            'the config of the result would say something else when it is read, at '
            f'{", ".join(differ)}: use plain data and names that can be imported there'
        )


def _text(cfg: Config, key: str) -> str:
    return config_text(Config({key: dict.get(cfg._cfg_dict, key)}))


def check_written(config_path: str | os.PathLike, model: nn.Module, batch: Any) -> None:
    """Build and load what was written, and compare it with the model, bit by bit.

    Each region of the rebuilt model is given what the region of the model gets while
    it runs a batch: what either leaves is the same, or something is missing in the
    files. Costs the time to build a model and to run a batch.

    Args:
        config_path: The written config; its checkpoint lies beside it.
        model: The quantized model, on any device, with any back end; wrapped or not.
        batch: As a data loader gives it, some test images.

    Raises:
        ConfigError: If it cannot be built or loaded, or is not the same; says what
            differs.
    """
    where = f'{Path(config_path).name} does not give back the model that was quantized'
    model = unwrapped(model)
    try:
        rebuilt = build_model(Config.fromfile(config_path))
    except Exception as error:  # whatever modules of users raise
        raise ConfigError(f'{where}: {type(error).__name__}: {error}') from error
    rebuilt.to(next((p.device for p in model.parameters()), torch.device('cpu')))
    rebuilt.eval()  # where modules make anew, on that device, what they derive
    differ = _different_tensors(whole_state(model), whole_state(rebuilt))
    if differ:
        raise ConfigError(
            f"{where}: {len(differ)} tensors differ, for instance '{differ[0]}'"
        )
    differ = _different_regions(model, inside(model), inside(rebuilt), batch)
    if differ:
        raise ConfigError(f'{where}: what leaves {", ".join(differ)} differs')


def _different_tensors(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    common = a.keys() & b.keys()
    return sorted((a.keys() | b.keys()) - common) + sorted(
        key for key in common if not _same(a[key], b[key])
    )


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal; NaN equals NaN."""
    return (
        a.shape == b.shape
        and a.dtype == b.dtype
        and bool(((a == b) | ((a != a) & (b != b))).all())
    )


def _different_regions(
    outer: nn.Module, model: nn.Module, rebuilt: nn.Module, batch: Any
) -> list[str]:
    """Names of the regions that do not give the same outputs for the same inputs.

    Args:
        outer: What runs a batch; the model, or test-time augmentation around it.
        model: Has the regions.
        rebuilt: The same for what was read.
        batch: The batch.
    """
    others = regions_in(rebuilt)
    regions = regions_in(model)
    if others.keys() != regions.keys():
        return sorted(others.keys() ^ regions.keys())
    expected: dict[str, list[Tensor]] = {}
    differ: dict[str, None] = {}

    def enter(name: str, module: nn.Module, args: tuple, kwargs: dict) -> None:
        rebuilt.get_submodule(name)(*args, **kwargs)

    def leave(name: str, outputs: list[Tensor]) -> None:
        found = expected.pop(name, outputs)
        if len(found) != len(outputs) or not all(map(_same, found, outputs)):
            differ[name] = None

    training = outer.training
    handles: list[RemovableHandle] = []
    outer.eval()
    try:
        for name, region in regions.items():
            # No program of its own is made: the integers are the same.
            others[name].session = None
            others[name].on_output = expected.__setitem__
            region.on_output = leave
            handles.append(
                model.get_submodule(name).register_forward_pre_hook(
                    functools.partial(enter, name), with_kwargs=True
                )
            )
        with torch.no_grad():
            outer.test_step(copy.deepcopy(batch))  # type: ignore[operator]
    finally:
        outer.train(training)
        for region in regions.values():
            region.on_output = None
        for handle in handles:
            handle.remove()
    return list(differ)
