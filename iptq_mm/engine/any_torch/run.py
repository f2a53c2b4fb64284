"""``iptq_mm.quantize`` and ``iptq_mm.load``."""

from __future__ import annotations

import copy
import json
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn

from ...calibration import ConfigError
from ...calibration.evaluating import evaluating
from ...models.quantized import await_plan
from ...modes import regions_in
from ...plan import PlanError
from ...program import Session, use_backend
from ..quantize.model import Quantization, quantize_model
from .calling import Call, calibration_batches, call_model, rows_of
from .holder import WHOLE, held, stepping
from .layers import with_linear_layers
from .presets import preset_settings
from .quantized import QuantizedModel
from .regions import check_whole, largest_regions
from .report import report_of


def quantize(
    model: nn.Module,
    batches: Any,
    regions: Sequence[str] | str | None = None,
    preset: str = 'w8a8',
    *,
    backend: str | None = None,
    settings: Mapping[str, Any] | None = None,
    forward: Call | None = None,
    seed: int = 0,
) -> QuantizedModel:
    """Quantize any torch model, of timm, transformers, torchvision or your own.

    Example::

        import iptq_mm, timm
        model = timm.create_model('vit_tiny_patch16_224', pretrained=True)
        quantized = iptq_mm.quantize(model, images)  # a list of batches, a DataLoader
        logits = quantized.model(image)              # integers inside
        quantized.save('vit.pth')

    Args:
        model: The float model. It stays as it is: a copy is quantized.
        batches: Calibration batches, any iterable of them. A tensor is the argument of
            the model, a tuple or list has its arguments, a dict its keyword arguments.
            The first that have ``calibration.num_images`` samples are used (128 with
            the preset w8a8).
        regions: Paths of the parts that run in integers (those of
            ``model.named_modules()``). None: the whole model. ``'auto'``: the largest
            parts that can; the report says which.
        preset: A file of ``configs/_base_/quantization``: w8a8, w4a8, ...
        backend: What runs the integers: ``native``, ``compiled``, ``reference``;
            None: the eager integer mode. The integers are the same.
        settings: Settings in the place of those of the preset, as ``quantization`` of
            a config that inherits it: ``dict(calibration=dict(num_images=32))``.
        forward: ``forward(model, batch)`` runs a batch; None: as ``batches`` says.
        seed: Of what is random in a reconstruction.

    Returns:
        The quantized model, its plans and a report.

    Raises:
        ConfigError: If the model, or a part that is named, cannot run in integers, or
            a setting is wrong. The message says which operation of which module it is,
            and which ``regions`` to pass.
        KeyError: If there is no such back end.
        RuntimeError: If the back end cannot run here.
    """
    if backend:
        Session(backend).check()
    call = forward or call_model
    model = with_linear_layers(copy.deepcopy(model))
    model.eval()  # that of mm's backbones returns None
    most = preset_settings(preset, [WHOLE], 1, settings).calibration.num_images
    data = calibration_batches(batches, model, most)
    names = _names(model, regions, call, data[0])
    config = preset_settings(preset, names, rows_of(data[0]), settings)
    root = held(model, names)
    with evaluating(model):
        floats = call(model, data[-1])
    with stepping(root, call):
        found = quantize_model(root, config, data, seed=seed)
    if backend:
        use_backend(root, backend)
    report = report_of(root, model, found, call, data[-1], floats)
    report = {**report, 'preset': preset, 'samples': sum(map(rows_of, data))}
    _warn_of_read(found)
    return QuantizedModel(root, found.plans, report, call, data[-1])


def load(
    model: nn.Module,
    path: str | os.PathLike,
    *,
    backend: str | None = None,
    forward: Call | None = None,
) -> QuantizedModel:
    """Read what :meth:`QuantizedModel.save` wrote.

    Args:
        model: A float model of the same architecture; its weights do not matter. It
            stays as it is: a copy gets the integers.
        path: The file.
        backend: See :func:`quantize`.
        forward: See :func:`quantize`.

    Raises:
        PlanError: If the file is none of a quantized model, or one of another model.
        KeyError: If there is no such back end.
    """
    data = torch.load(path, map_location='cpu', weights_only=True)
    meta = data.get('iptq_mm') if isinstance(data, dict) else None
    if meta is None:
        raise PlanError(
            f'{path} was not written by save() of a quantized model: give the file '
            'that it wrote'
        )
    model = with_linear_layers(copy.deepcopy(model))
    model.eval()  # that of mm's backbones returns None
    root = held(model, [WHOLE] if meta['whole'] else [])
    for name in meta['regions']:
        try:
            part = root.get_submodule(name)
        except AttributeError:
            raise PlanError(
                f"{path}: the model has no part '{name}', which the file has "
                'integers for: give a model of the same architecture'
            ) from None
        await_plan(part, Session(backend) if backend else None)
    try:
        root.load_state_dict(data['state_dict'])
    except RuntimeError as error:
        raise PlanError(f'{path} was made for another model: {error}') from error
    plan = {name: region.mode.plan for name, region in regions_in(root).items()}  # type: ignore[union-attr]
    report = json.loads(meta['report'])
    return QuantizedModel(root, plan, report, forward or call_model)


def _names(
    model: nn.Module, regions: Sequence[str] | str | None, call: Call, batch: Any
) -> list[str]:
    """Names of the regions."""
    if regions is None:
        check_whole(model, call, batch)
        return [WHOLE]
    if regions == 'auto':
        found = largest_regions(model, call, batch)
        if not found:
            raise ConfigError('no part of the model can run in integers')
        return found
    return [regions] if isinstance(regions, str) else list(regions)


def _warn_of_read(found: Quantization) -> None:
    """Warn of masks and other integers whose contents become part of programs."""
    for region, record in found.records.items():
        for name, seen in record.given.items():
            if seen.read:
                print_log(
                    f"region '{region}': {seen.read} reads the numbers of '{name}', "
                    'for which there is no rule. Back ends make a program for each '
                    'content of this tensor: choose smaller regions if it changes',
                    'current',
                    logging.WARNING,
                )
