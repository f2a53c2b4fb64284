"""Learning rates in proportion to the parameters."""

from __future__ import annotations

from statistics import median
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from ...modes import bound_region, regions_in
from ...modes.training import Training
from ...modes.training.ranges import RANGES_KEY
from ...operations import WEIGHTS
from ...registry import OPTIM_WRAPPER_CONSTRUCTORS

#: A parameter smaller than this share of the median is taken for one of zeros, which
#: would never change. It counts as large as the second share of the median.
_ZERO, _INSTEAD = 1e-3, 0.1


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class RelativeLearningRates(DefaultOptimWrapperConstructor):
    """Gives each parameter a learning rate in proportion to its root mean square.

    Exact rewrites before quantization change the size of parameters: with pixels as
    input, the weights of the first layer are divided by the standard deviation of the
    pixels, about 58; equalization moves factors between layers. An optimizer such as
    Adam changes all elements by about the learning rate, which would then be right for
    some layers only. ``lr=0.004`` here means 0.4 % of the size of a parameter in a
    step, which is about a hundredth of a step of 4-bit weights.

    Args:
        optim_wrapper_cfg: As of any constructor.
        paramwise_cfg: As of mmengine's; also ``others_lr_mult``: factor of the learning
            rate of parameters that are no weights of layers (biases, LayerNorms,
            embeddings). A weight has to move by half a step until its integer changes;
            these change at once.
    """

    def __init__(
        self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None
    ) -> None:
        # Some entry is needed: without one, mmengine makes one group of all parameters.
        given = {'bypass_duplicate': False, **(paramwise_cfg or {})}
        self.others = float(given.pop('others_lr_mult', 1.0))
        if not self.others >= 0:
            raise ValueError(f'others_lr_mult={self.others}: use 0 or more')
        super().__init__(optim_wrapper_cfg, given)
        if self.base_lr is None:
            raise ValueError(
                'qat.optim_wrapper.optimizer has no lr, which RelativeLearningRates '
                'scales by the size of each parameter'
            )

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """The optimizer's wrapper; see mmengine."""
        inner = getattr(model, 'module', model)
        sizes = {
            id(p): float(p.detach().square().mean().sqrt()) for p in inner.parameters()
        }
        positive = [size for size in sizes.values() if size > 0]
        usual = median(positive) if positive else 1.0
        self._sizes = {
            key: size if size > _ZERO * usual else _INSTEAD * usual
            for key, size in sizes.items()
        }
        # Logarithms of factors: their own size says nothing.
        for name, parameter in inner.named_parameters():
            if name.rpartition('.')[2] == RANGES_KEY:
                self._sizes[id(parameter)] = 1.0
        self._weights = _weights(inner)
        wrapper: OptimWrapper = super().__call__(model)
        return wrapper

    def add_params(
        self, params: list[dict[str, Any]], module: nn.Module, *args: Any, **kwargs: Any
    ) -> None:
        """See mmengine, which calls it for a model and again for each module in it."""
        super().add_params(params, module, *args, **kwargs)
        if args or kwargs:
            return
        base: Any = self.base_lr
        for group in params:
            (parameter,) = group['params']
            known = id(parameter) in self._weights
            factor = self._sizes[id(parameter)] * (1.0 if known else self.others)
            group['lr'] = group.get('lr', base) * factor
        print_log(
            f'learning rates: {self.base_lr} times the size of each parameter, '
            f'{min(g["lr"] for g in params):.2g} to {max(g["lr"] for g in params):.2g}',
            'current',
        )


def _weights(model: nn.Module) -> set[int]:
    """Identities of the weights of layers; outside of regions by their dimensions."""
    found = {id(p) for p in model.parameters() if p.dim() > 1}
    for name in regions_in(model):
        module = model.get_submodule(name)
        region = bound_region(module)
        assert region is not None
        if not isinstance(region.mode, Training):
            continue
        plans = region.mode.plan.parameters
        for path, parameter in module.named_parameters():
            if path not in plans or plans[path].role not in WEIGHTS:
                found.discard(id(parameter))
    return found
