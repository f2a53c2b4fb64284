"""The float model's outputs for the evaluation images, kept for later runs.

The settings of a sweep share the float model and the images, so that one run of the
float model serves them all.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from ...calibration import ConfigError
from ...utils.files import try_save
from ...utils.trees import tree_leaves
from ..quantize.state import state_key

#: More than this is not kept: class tokens and logits of 50,000 images are 230 MB.
MOST_BYTES = 256 * 2**20

#: Outputs of each region, one entry a call, as ``OutputComparison.expected``.
Expected = dict[str, list[list[Tensor]]]


class FloatCache:
    """Records the outputs of a classifier's float model, or replays them.

    Attributes:
        path: The file, named by the digest of model, weights, images and device.
        kept: What the file holds: ``metrics``, ``seconds`` and ``batches``; None
            if the float model has to run.

    Args:
        folder: Folder of the files.
        model: The float model.
        settings: Describes everything else that the outputs depend on: configs of
            the model, the images and the evaluation.
    """

    def __init__(
        self, folder: str | os.PathLike, model: nn.Module, settings: str
    ) -> None:
        self.device = next(model.parameters()).device
        # Float sums depend on these; what is replayed is what would be computed.
        machine = (str(self.device), torch.__version__, torch.get_num_threads())
        key = json.dumps(state_key(model, settings, repr(machine)))
        digest = hashlib.sha256(key.encode()).hexdigest()
        self.path = Path(folder) / f'{digest[:24]}.pth'
        self.kept = self._read()
        self._batches: list[dict[str, Any]] | None = [] if self.kept is None else None
        self._bytes = 0

    def replay(
        self, index: int, batch: Any, expected: Expected
    ) -> list[SimpleNamespace]:
        """Stand in for the float model.

        Args:
            index: Number of the batch.
            batch: The batch.
            expected: Gets the outputs of the regions.

        Returns:
            For each image, something with a ``pred_score`` whose largest entry is
            the float model's.

        Raises:
            ConfigError: If the batch is not the one that the float model saw.
        """
        assert self.kept is not None
        batches = self.kept['batches']
        if index >= len(batches) or batches[index]['images'] != fingerprint(batch):
            raise ConfigError(
                f'{self.path} was made of other images than those of batch {index}: '
                'they were changed, or differ from run to run; delete the file, or '
                'compare without it'
            )
        found = tree_map_only(Tensor, lambda t: t.to(self.device), batches[index])
        for name, outputs in found['outputs'].items():
            expected[name].extend(outputs)
        return [
            SimpleNamespace(pred_score=torch.arange(label + 1, device=self.device))
            for label in found['labels']
        ]

    def record(self, images: str, samples: list[Any], expected: Expected) -> None:
        """Keep the outputs of the float model for a batch.

        Nothing is kept of a model that is not a classifier, or whose outputs are larger
        than :data:`MOST_BYTES` in all.

        Args:
            images: Fingerprint of the batch before the model saw it.
            samples: Predictions.
            expected: Outputs of the regions.
        """
        if self._batches is None:
            return
        outputs = {
            name: [[t.detach().cpu().clone() for t in call] for call in calls]
            for name, calls in expected.items()
        }
        self._bytes += sum(t.nbytes for t in tree_leaves(outputs))
        too_much = self._bytes > MOST_BYTES
        if too_much:
            print_log(
                'the float model runs in every comparison: its outputs are larger '
                f'than {MOST_BYTES >> 20} MB',
                'current',
            )
        if too_much or not all(hasattr(s, 'pred_score') for s in samples):
            self._batches = None
            return
        labels = [int(s.pred_score.argmax()) for s in samples]
        self._batches.append(dict(images=images, labels=labels, outputs=outputs))

    def finish(self, metrics: dict[str, Any], seconds: float) -> None:
        """Write the file, if everything was recorded.

        Args:
            metrics: Of the float model, plain types.
            seconds: Time that its forward passes took.
        """
        if self._batches:
            kept = dict(metrics=metrics, seconds=seconds, batches=self._batches)
            try_save(kept, self.path, 'the float model runs again next time')

    def _read(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location='cpu', weights_only=True)
        except Exception as error:  # torch.load raises anything on damaged files
            message = str(error).partition('\n')[0]
            print_log(f'{self.path} is damaged ({message}): made anew', 'current')
            return None


def fingerprint(batch: Any) -> str:
    """Digest of the images and labels of a batch."""
    digest = hashlib.sha256()
    for leaf in tree_leaves(batch):
        if isinstance(leaf, Tensor):
            digest.update(repr((leaf.dtype, tuple(leaf.shape))).encode())
            flat = leaf.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
        else:
            digest.update(repr(getattr(leaf, 'gt_label', None)).encode())
    return digest.hexdigest()
