"""The quantized model that a training starts from, kept for a run that is resumed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor, nn

from ...calibration import QuantizationConfig
from ...modes.install import fit_first_layer, install
from ...modes.training import begin_training
from ...modes.training.ranges import values_with_ranges
from ...norms import without_norms
from ...plan import RegionPlan
from ...program import Session
from ...program.runtime.site_kernels import SiteKernels
from ...record import RegionRecord
from ...utils.files import try_save
from ..calibration_data import build_calibration_dataloader, describe_calibration
from ..quantize.hook import STATE_FILE
from ..quantize.model import Quantization, quantize_model
from ..quantize.outlook import Outlook
from ..quantize.state import state_key
from .checkpoints import checkpoints_in

#: The quantized model before its training, in the work dir.
START_FILE = 'quantized.pth'
_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@dataclass
class Start:
    """What post-training quantization gave.

    Attributes:
        found: Plans, records, times and checks.
        calibration: A description of the calibration images.
        run: A name that no other run has; its checkpoints have it, too.
        resumed: Whether an earlier, interrupted run made it.
        outlook: Of the whole run, if it was quantized now.
    """

    found: Quantization
    calibration: dict[str, Any]
    run: str = field(default_factory=lambda: secrets.token_hex(8))
    resumed: bool = False
    outlook: Outlook | None = None


def quantized_start(
    model: nn.Module,
    cfg: Config,
    config: QuantizationConfig,
    folder: Path,
    resume: bool,
    learn_ranges: bool = False,
    foresee: Callable[[Sequence[str], int], Outlook] | None = None,
) -> Start:
    """Quantize a float model, and turn its regions into ones that are trained.

    Args:
        model: The float model; it is changed.
        cfg: The whole config, which names the calibration images as for
            ``tools/quantize.py``.
        config: Its quantization settings.
        folder: The work dir.
        resume: Whether to go on with what an interrupted run left there.
        learn_ranges: Whether ranges of values of few bits are trained, too.
        foresee: Makes what is said about the phases to come, of the names of those of
            the quantization and the number of calibration images; None: nothing is
            said here.

    Raises:
        ConfigError: See :func:`~iptq_mm.engine.quantize.model.quantize_model`.
    """
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    loaders = {name: cfg.get(name) for name in _LOADERS}
    sources = [loaders[f'{split}_dataloader'] for split in ('train', 'test')]
    images = repr((seed, sources))
    path = folder / START_FILE
    key = state_key(model, repr(config), images)
    key['reconstruction'] = repr((config.reconstruction, seed))
    key['learned ranges'] = repr(learn_ranges)
    state = _read(path, key) if resume else None
    if state is None:
        if dist.is_main_process():
            path.unlink(missing_ok=True)  # its checkpoints are not this run's
        loader = build_calibration_dataloader(loaders, config, seed)
        calibration = describe_calibration(loader, config)
        count = calibration['images']
        outlook: list[Outlook] = []

        def foreseen(phases: Sequence[str]) -> Outlook:
            assert foresee is not None
            outlook[:] = [foresee(phases, count)]
            return outlook[0]

        found = quantize_model(
            model,
            config,
            loader,
            folder / STATE_FILE,
            resume,
            images,
            keep_real=True,
            seed=seed,
            foresee=foreseen if foresee else None,
        )
        start = Start(found, calibration, _shared(secrets.token_hex(8)))
        start.outlook = next(iter(outlook), None)
        if dist.is_main_process():
            otherwise = 'the run goes on; --resume would have to calibrate again'
            try_save(_state(start, model, key), path, otherwise)
    else:
        start = _restored(state, model)
    for name, plan in start.found.plans.items():
        real = start.found.real.get(name)
        module = model.get_submodule(name)
        kernels = SiteKernels() if native_runs(module) else None
        outputs = start.found.records[name].outputs
        ranges = values_with_ranges(plan, outputs) if learn_ranges else ()
        begin_training(module, real, kernels, ranges)
    start.found.real = {}
    return start


def kept_files(folder: Path) -> list[Path]:
    """What a training would be resumed from, in its work dir."""
    return [folder / STATE_FILE, folder / START_FILE, *checkpoints_in(folder)]


def native_runs(model: nn.Module) -> bool:
    """Whether the native library can run a model here."""
    device = next((p.device for p in model.parameters()), torch.device('cpu'))
    try:
        Session('native').check(device)
    except RuntimeError:
        return False
    return True


def _shared(value: Any) -> Any:
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def _read(path: Path, key: dict[str, str]) -> dict[str, Any] | None:
    """What the file holds, the same in all processes, if it is of this quantization."""
    return _shared(_found(path, key) if dist.is_main_process() else None)


def _found(path: Path, key: dict[str, str]) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
        differs = [k for k, v in key.items() if state['key'].get(k) != v]
    except Exception as error:  # torch.load raises anything on damaged files
        message = str(error).partition('\n')[0]
        print_log(f'{path}: cannot be read ({message}): quantizing anew', 'current')
        return None
    if differs:
        reason = f'was made with other {" and ".join(differs)}'
        print_log(f'{path}: {reason}: quantizing and training anew', 'current')
        return None
    print_log(f'{path}: the model is quantized already', 'current')
    return state


def _state(start: Start, model: nn.Module, key: dict[str, str]) -> dict[str, Any]:
    found = start.found
    return {
        'key': key,
        'run': start.run,
        'plans': {n: plan.to_tensor() for n, plan in found.plans.items()},
        'integers': {n: _integers(model, n) for n in found.plans},
        'real': found.real,
        'records': {n: r.state_dict() for n, r in found.records.items()},
        'seconds': found.seconds,
        'checks': found.checks,
        'reconstruction': found.reconstruction,
        'calibration': start.calibration,
    }


def _integers(model: nn.Module, region: str) -> dict[str, Tensor]:
    parameters = model.get_submodule(region).named_parameters()
    return {name: value.detach() for name, value in parameters}


def _restored(state: dict[str, Any], model: nn.Module) -> Start:
    plans = {n: RegionPlan.from_tensor(t) for n, t in state['plans'].items()}
    for name, plan in plans.items():
        module = model.get_submodule(name)
        own = {n: value.device for n, value in module.named_parameters()}
        device = next(iter(own.values()), torch.device('cpu'))
        without_norms(module, plan.norms)
        fit_first_layer(module, plan)
        integers = {n: value.to(device) for n, value in state['integers'][name].items()}
        install(name, module, plan, integers)
    records = {n: RegionRecord.from_state_dict(r) for n, r in state['records'].items()}
    found = Quantization(
        plans,
        records,
        state['seconds'],
        state['checks'],
        state['reconstruction'],
        state['real'],
    )
    return Start(found, state['calibration'], state['run'], resumed=True)
