"""One command from an integer checkpoint to an ONNX file."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn

from ..calibration import ConfigError
from ..modes import regions_in
from ..program import Program, trace
from ..program.onnx import export_onnx
from .audit import example_batch, is_quantized
from .study.inputs import build_model, load_config


class _Reached(Exception):  # noqa: N818  (it is none)
    """The region was called; the rest of the model need not run."""

    def __init__(self, args: tuple, kwargs: dict) -> None:
        super().__init__()
        self.arguments = args, kwargs


def export_config_onnx(
    config: str | os.PathLike,
    checkpoint: str | None,
    out: str | os.PathLike,
    *,
    region: str | None = None,
    shape: tuple[int, int] | None = None,
    cfg_options: dict[str, Any] | None = None,
) -> Program:
    """Write a region of a quantized model as an ONNX model of integers.

    Args:
        config: The config that was written beside the integer checkpoint.
        checkpoint: Its checkpoint; None: ``load_from`` of the config.
        out: File to write.
        region: Name of the region; None: the first one.
        shape: Height and width of the image that the model gets; None: as its test
            pipeline makes them. The ONNX model is for this size.
        cfg_options: Overrides, by dotted key.

    Returns:
        The program that was written.

    Raises:
        ConfigError: If the config has no such region, or no example can be made.
        FileNotFoundError: If the config or the checkpoint is missing.
        ProgramError: If an operation has no counterpart.
        RuntimeError: If the package onnx is missing.
    """
    cfg = load_config(config, checkpoint, cfg_options)
    if not is_quantized(cfg.model):
        raise ConfigError(
            f'{config} builds no quantized region: quantize it with tools/quantize.py '
            'and name the integer.py and integer.pth that it writes'
        )
    model = build_model(cfg)
    regions = list(regions_in(model))
    name = region or regions[0]
    if name not in regions:
        raise ConfigError(f"no region '{name}': there are {regions}")
    args, kwargs = region_arguments(model, name, example_batch(cfg, shape))
    program = trace(model.get_submodule(name), args, kwargs).program
    export_onnx(program, out)
    return program


def region_arguments(model: nn.Module, region: str, batch: Any) -> tuple[tuple, dict]:
    """What a region gets when the model predicts.

    Args:
        model: An mm model.
        region: Path of the region in it.
        batch: As the data loader gives it.

    Raises:
        ConfigError: If the model does not call the region.
    """

    def reached(module: nn.Module, args: tuple, kwargs: dict) -> None:
        raise _Reached(args, kwargs)

    module = model.get_submodule(region)
    handle = module.register_forward_pre_hook(reached, prepend=True, with_kwargs=True)
    try:
        with torch.no_grad():
            model.test_step(batch)  # type: ignore[operator]
    except _Reached as call:
        return call.arguments
    finally:
        handle.remove()
    raise ConfigError(f"the model does not call region '{region}' when it predicts")
