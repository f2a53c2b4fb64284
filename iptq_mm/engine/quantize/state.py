"""The records of finished phases, kept so that an interrupted run can go on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.logging import print_log
from torch import nn

from ...calibration.equalization.ranging import Ranges
from ...calibration.phases.frozen.kept import RoundedWeights
from ...calibration.phases.reconstruct import Learned
from ...record import RegionRecord
from ...utils.files import try_save


class State:
    """Finished phases of a quantization, and their findings.

    Attributes:
        seconds: Time of each finished phase.
        records: By region.
        ranges: By region, the channel ranges that equalizers use; None before that
            phase.
        learned: Parts that a reconstruction has finished.
        rounded: Weights that are rounded, by all that they depend on.

    Args:
        path: File that keeps it; None: it is not kept.
        key: Identifies this quantization, see :func:`state_key`.
        resume: Whether to go on with what the file holds.
        reconstruction: Describes the settings of the reconstruction, on which nothing
            but ``learned`` depends.
    """

    def __init__(
        self,
        path: str | os.PathLike | None,
        key: dict[str, str],
        resume: bool,
        reconstruction: str = '',
    ) -> None:
        self.path = None if path is None else Path(path)
        self.key = key
        self.seconds: dict[str, float] = {}
        self.records: dict[str, RegionRecord] = {}
        self.ranges: dict[str, Ranges] | None = None
        self.learned: Learned = {}
        self.rounded: RoundedWeights = {}
        self._reconstruction = reconstruction
        found = self._read() if resume and dist.is_main_process() else None
        # The file may lie on the disk of the first rank alone.
        shared = [found]
        dist.broadcast_object_list(shared)
        if shared[0]:
            self.seconds = dict(shared[0]['seconds'])
            self.records = {
                n: RegionRecord.from_state_dict(r)
                for n, r in shared[0]['records'].items()
            }
            self.ranges = _ranges(shared[0]['ranges'])
            self.rounded = shared[0].get('rounded') or {}
            kept = shared[0].get('reconstruction') or {}
            if kept.get('settings') == reconstruction:
                self.learned = kept['learned']

    def finish(self, phase: str, seconds: float) -> None:
        """Note that a phase is finished, and keep its records.

        The file only helps to resume: a full disk does not end the run.
        """
        self.seconds[phase] = round(seconds, 2)
        self.save(phase)

    def save(self, what: str) -> None:
        """Write the file.

        Args:
            what: The run could not be resumed after this without the file.
        """
        if self.path is not None and dist.is_main_process():
            ranges = self.ranges
            state: dict[str, Any] = {
                'key': self.key,
                'seconds': self.seconds,
                'records': {n: r.state_dict() for n, r in self.records.items()},
                'ranges': ranges and {n: r.state_dict() for n, r in ranges.items()},
                'rounded': self.rounded,
                'reconstruction': {
                    'settings': self._reconstruction,
                    'learned': self.learned,
                },
            }
            otherwise = f'the run goes on, but could not be resumed after {what}'
            try_save(state, self.path, otherwise)

    def _read(self) -> dict[str, Any] | None:
        """The state in the file, if it is one of the same quantization."""
        if self.path is None or not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location='cpu', weights_only=True)
            differs = [k for k, v in self.key.items() if state['key'].get(k) != v]
            for record in state['records'].values():
                RegionRecord.from_state_dict(record)
            finished, _ = list(state['seconds']), _ranges(state['ranges'])
        except Exception as error:  # torch.load raises anything on damaged files
            message = str(error).partition('\n')[0]
            self._say(f'cannot be read, it is damaged ({message}): starting anew')
            return None
        if differs:
            self._say(f'was made with other {" and ".join(differs)}: starting anew')
            return None
        self._say(f'resuming after {" and ".join(finished)}')
        return state

    def _say(self, message: str) -> None:
        print_log(f'{self.path}: {message}', 'current')


def _ranges(state: dict[str, Any] | None) -> dict[str, Ranges] | None:
    if state is None:
        return None
    return {name: Ranges.from_state_dict(region) for name, region in state.items()}


def state_key(model: nn.Module, settings: str, images: str) -> dict[str, str]:
    """The key that a state file must have for a quantization to resume from it.

    Args:
        model: The float model; its weights count.
        settings: Describes the quantization settings.
        images: Describes the calibration images.
    """
    return {'settings': settings, 'images': images, 'weights': weights_digest(model)}


def weights_digest(model: nn.Module) -> str:
    """Digest of all weights of a model, whatever device they are on."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, torch.Tensor):
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
