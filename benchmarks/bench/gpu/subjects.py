"""The models that are tried on a GPU, float and integer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from ..networks import (
    CONFIGS,
    NETWORKS,
    Network,
    build,
    load_config,
    quantized,
    random_batch,
)

#: By the name that the command line has for them.
SUBJECTS = {
    'deit_t': NETWORKS['deit_t'],
    'swin_t': NETWORKS['swin_t'],
    'demo_detector': Network(
        CONFIGS / 'demo/swin_cascade_demo_whole-w8a8.py', (160, 160), trained=True
    ),
}


@dataclass
class Subject:
    """A model on the CPU.

    Attributes:
        name: A key of :data:`SUBJECTS`.
    """

    name: str

    def __post_init__(self) -> None:
        network = SUBJECTS[self.name]
        self.size = network.size
        self.cfg = load_config(network, self.size)

    @property
    def is_detector(self) -> bool:
        """Whether it ends in boxes."""
        return self.cfg.default_scope == 'mmdet'

    @cached_property
    def floats(self) -> nn.Module:
        """The float model."""
        return build(self.cfg)

    @cached_property
    def integers(self) -> nn.Module:
        """The same, quantized on the CPU."""
        return quantized(self.floats, self.cfg, self.size)[0]

    def batch(self, count: int) -> dict[str, Any]:
        """Images, as a data loader gives them."""
        return random_batch(self.cfg, self.size, count)
