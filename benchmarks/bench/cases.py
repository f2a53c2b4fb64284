"""A case: a network, the size of its images and how many there are in a batch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from iptq_mm.utils.trees import tree_leaves

from .networks import NETWORKS, Network, build, load_config, quantized, random_batch

#: What the tables of docs/performance.md have.
DEFAULT = (
    'deit_t:b1',
    'deit_s:b1',
    'swin_t:b1',
    'deit_t:b8',
    'deit_s:b8',
    'swin_t:b8',
    'swin_t_backbone:b1',
)
#: How time and memory grow with the size of an image and with the batch.
SCALING = (
    *(f'deit_t:{size}x{size}:b1' for size in (224, 384, 512)),
    *(f'deit_t:b{batch}' for batch in (2, 4, 8, 16)),
    *(f'swin_t_backbone:{size}:b1' for size in ('200x304', '400x608', '800x1216')),
)
#: Usual sizes of images.
_IMAGENET, _COCO = (224, 224), (800, 1216)
_NAME = re.compile(r'(?P<network>[^:]+)(:(?P<h>\d+)x(?P<w>\d+))?(:b(?P<batch>\d+))?')


class Case:
    """A network on images of a size; models and images are made when asked for.

    Args:
        name: ``NETWORK[:HxW][:bBATCH]``; the network is one of
            :data:`~.networks.NETWORKS` or the path of a config with a quantization.

    Attributes:
        name: With size and batch, whether they were given or not.
        network, size, batch: What the name says.
        cfg: The config.

    Raises:
        FileNotFoundError: If the config does not exist.
        ValueError: If the name names no case.
    """

    def __init__(self, name: str) -> None:
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f'no case {name!r}: write NETWORK[:HxW][:bBATCH]')
        label, height, width, batch = found.group('network', 'h', 'w', 'batch')
        self.network = _network(label)
        self.size = (int(height), int(width)) if height else self.network.size
        self.batch = int(batch or 1)
        self.name = f'{label}:{self.size[0]}x{self.size[1]}:b{self.batch}'
        self.cfg = load_config(self.network, self.size)
        self._made: dict[Any, Any] = {}

    @cached_property
    def floats(self) -> nn.Module:
        """The float model."""
        return build(self.cfg, self.network.part)

    @cached_property
    def _quantized(self) -> tuple:
        return quantized(self.floats, self.cfg, self.size)

    @property
    def integers(self) -> nn.Module:
        """The quantized model, in eager integer mode."""
        return self._quantized[0]

    @property
    def regions(self) -> list[str]:
        """The parts of the model that run on integers."""
        return list(self.cfg.quantization.regions)

    @property
    def functions(self) -> Counter[str]:
        """How many sites have which integer function."""
        return Counter(self._quantized[1].assignment().values())

    @property
    def is_detector(self) -> bool:
        """Whether it ends in boxes; else it makes tensors of one tensor."""
        return self.cfg.default_scope == 'mmdet' and self.network.part is None

    @cached_property
    def pixels(self) -> dict:
        """The batch, as a data loader gives it."""
        return random_batch(self.cfg, self.size, self.batch)

    def images(self, seed: int = 0) -> Tensor:
        """A batch of normalized images; with seed 0 that of :attr:`pixels`."""
        batch = random_batch(self.cfg, self.size, self.batch, seed)
        return self.floats.data_preprocessor(batch, False)['inputs']

    def runner(self, model: nn.Module) -> Callable[[], Any]:
        """One inference of a model: what is measured.

        Classifiers and parts begin with normalized images and end with what they
        compute; a detector begins with pixels and ends with boxes and masks.
        """
        if self.is_detector:
            return torch.no_grad()(lambda: model.test_step(self.pixels))
        images = model.data_preprocessor(self.pixels, False)['inputs']
        return torch.no_grad()(lambda: model(images))

    @cached_property
    def float_outputs(self) -> list[Tensor]:
        """What the float model makes of the images."""
        return tensors(self.runner(self.floats)())

    @cached_property
    def integer_outputs(self) -> list[Tensor]:
        """What the eager integer mode makes of them."""
        return tensors(self.runner(self.integers)())

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What ``make`` returns, made once for all contenders of this case."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def tensors(outputs: Any) -> list[Tensor]:
    """The tensors in what a model returns."""
    found = []
    for leaf in tree_leaves(outputs):
        if isinstance(leaf, DetDataSample):
            instances = leaf.pred_instances
            found += [torch.as_tensor(instances[k]) for k in sorted(instances.keys())]
        else:
            found.append(torch.as_tensor(leaf))
    return found


def _network(label: str) -> Network:
    if label in NETWORKS:
        return NETWORKS[label]
    if not label.endswith('.py'):
        raise ValueError(
            f'no network {label!r}: one of {", ".join(NETWORKS)}, or a config'
        )
    network = Network(Path(label), _IMAGENET, trained=True)
    if load_config(network, _IMAGENET).default_scope == 'mmdet':
        return replace(network, size=_COCO)
    return network
