"""The wrapper around a model that is trained: its steps, and its integers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from ...calibration import ConfigError
from ...modes import regions_in
from ...modes.training import end_training
from ...program import use_backend
from ...registry import MODEL_WRAPPERS
from ...statistics import NotFiniteError
from .gradients import average_buffers, average_gradients, check_gradients
from .images import Mixing
from .losses import TrainingLoss
from .passes import Passes


@MODEL_WRAPPERS.register_module()
class Trainee(nn.Module):
    """A model whose regions are trained on integers.

    It stands where mmengine has ``DistributedDataParallel``. A step trains the model; a
    step of validation runs its integers, as they would be deployed.

    Args:
        module: The model, its regions in training mode.
        float_model: The float one. It is no part of the state dict.
        losses: What is minimized: the weighted sum.
        everything: Whether parameters of float modules are trained, too.
        backend: What runs the integers in validation; None: the eager integer mode.
        mixing: Mixes the images of a batch; None: they stay as they are.

    Attributes:
        place: Which iteration this is, for messages.
        trained: Names and parameters that are trained.
        without_gradient: Regions none of whose parameters has had a gradient other
            than 0 so far.
    """

    def __init__(
        self,
        module: nn.Module,
        float_model: nn.Module,
        losses: Sequence[TrainingLoss],
        everything: bool = False,
        backend: str | None = None,
        mixing: Mixing | None = None,
    ) -> None:
        super().__init__()
        self.module = module
        # Not as a sub-module, whose weights would be saved.
        self._others = [float_model.eval().requires_grad_(False)]
        self._losses = losses
        self._everything = everything
        self._backend = backend
        self._mixing = mixing
        self._labels = any(loss.needs_labels for loss in losses)
        self._regions = list(regions_in(module))
        self._dense: frozenset[str] | None = None
        self._integers: nn.Module | None = None
        self.place = ''
        if not everything:
            inside = {id(p) for n in self._regions for p in self._region(n)}
            for parameter in module.parameters():
                parameter.requires_grad_(id(parameter) in inside)
        self.trained = [
            (name, p) for name, p in module.named_parameters() if p.requires_grad
        ]
        self.without_gradient = [n for n in self._regions if self._region(n)]

    def _region(self, name: str) -> list[nn.Parameter]:
        return list(self.module.get_submodule(name).parameters())

    def train(self, mode: bool = True) -> Trainee:
        """As of any module; modules that are not trained stay in evaluation mode."""
        self._integers = None
        super().train(mode and self._everything)
        self.training = mode
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model."""
        return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Train on a batch.

        Args:
            data: As a data loader gives it.
            optim_wrapper: mmengine's wrapper of the optimizer.

        Returns:
            The loss and its parts.

        Raises:
            NotFiniteError: If the loss or a gradient holds NaN or infinity; the
                parameters are as they were.
        """
        total, shown = self.loss(data)
        batch = f'{self.place} (images: {_names(data)})'
        if not torch.isfinite(total):
            raise NotFiniteError(_ADVICE.format(what=f'the loss is {total} {batch}'))
        optim_wrapper.backward(optim_wrapper.scale_loss(total))
        if optim_wrapper.should_update():
            average_gradients([p for _, p in self.trained])
            try:
                check_gradients(self.trained, batch)
            except NotFiniteError as error:
                raise NotFiniteError(_ADVICE.format(what=error)) from None
            self._note_gradients()
            optim_wrapper.step()
            optim_wrapper.zero_grad()
            if self._everything:
                average_buffers(self.module)
        return shown

    def loss(self, data: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """What is minimized for a batch.

        Args:
            data: As a data loader gives it.

        Returns:
            The weighted sum, and what is logged of it.
        """
        module: Any = self.module
        # Mixing images needs labels to mix.
        batch = module.data_preprocessor(data, self._labels)
        if self._mixing is not None:
            batch = {**batch, 'inputs': self._mixing(batch['inputs'])}
        passes = Passes(
            module, self._others[0], self._regions, batch, self._dense, self._labels
        )
        shown: dict[str, Tensor] = {}
        terms = []
        for loss in self._losses:
            for name, value in loss(passes).items():
                shown[name] = value.detach()
                if 'loss' in name:
                    terms.append(value * loss.weight)
        if not terms:
            raise ConfigError('the losses in qat.loss give nothing to minimize')
        total = torch.stack(terms).sum()
        if self._dense is None and any(not x.needs_labels for x in self._losses):
            self._dense = passes.dense
        # A model may call a part of its own 'loss'.
        return total, {**shown, 'loss': total.detach()}

    def _note_gradients(self) -> None:
        for name in list(self.without_gradient):
            grads = [p.grad for p in self._region(name) if p.grad is not None]
            if any(bool(grad.any()) for grad in grads):
                self.without_gradient.remove(name)

    def integers(self) -> nn.Module:
        """A copy of the model with the integers that its parameters stand for now."""
        if self._integers is None:
            model = copy.deepcopy(self.module).eval()
            for name in self._regions:
                end_training(model.get_submodule(name))
            model.requires_grad_(False)
            use_backend(model, self._backend)
            self._integers = model
        return self._integers

    @torch.no_grad()
    def val_step(self, data: Any) -> Any:
        """Predictions of the integers."""
        integers: Any = self.integers()
        return integers.val_step(data)

    @torch.no_grad()
    def test_step(self, data: Any) -> Any:
        """Predictions of the integers."""
        integers: Any = self.integers()
        return integers.test_step(data)


_ADVICE = (
    '{what}: the weights of the last checkpoint are good. Look at these images and '
    'their labels; if they are sound, use a smaller learning rate '
    '(qat.optim_wrapper.optimizer.lr) or qat.optim_wrapper.clip_grad, and start anew'
)


def _names(data: Any) -> str:
    samples = data.get('data_samples') if isinstance(data, Mapping) else None
    paths = [getattr(sample, 'img_path', None) for sample in samples or ()]
    named = [str(path) for path in paths if path]
    shown = ', '.join(named[:8])
    return (f'{shown}, ...' if len(named) > 8 else shown) or 'not named'
