"""A classifier whose uncertain answers a wider integer model gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseModel
from torch import Tensor, nn

from ...guarantee import Guarantee
from ...guarantee.answers import margins_of
from ...registry import MODELS
from .flags import mark
from .logits import logits_of


@MODELS.register_module()
class GuardedClassifier(BaseModel):
    """Two integer models of a float one: the second answers what the first flags.

    Both are as ``tools/quantize.py`` writes them, so that all tools of mm run this one,
    with any back end. Flagged images go through the wide model one by one: they are
    few, and one program serves them all.

    Args:
        model: Config of the quantized classifier, or the classifier.
        wide: The same of the wider one.
        guarantee: As in ``results.json``, see :class:`~iptq_mm.guarantee.Guarantee`.
        data_preprocessor: That of both, if theirs do not say it.
        init_cfg: Not used: weights come from the integer checkpoint.
    """

    def __init__(
        self,
        model: nn.Module | dict,
        wide: nn.Module | dict,
        guarantee: Guarantee | Mapping[str, Any],
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(guarantee, Guarantee):
            guarantee = Guarantee.from_dict(guarantee)
        self.guarantee = guarantee
        self.model = _built(model, data_preprocessor)
        self.wide = _built(wide, data_preprocessor)
        self.data_preprocessor = self.model.data_preprocessor
        self._logits, _ = logits_of(self.model)

    def init_weights(self) -> None:
        """Nothing: the integer checkpoint has the weights."""

    def extract_feat(self, inputs: Tensor, **kwargs: Any) -> Any:
        """Features of the first model."""
        return self.model.extract_feat(inputs, **kwargs)

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> Any:
        """Run it; see mmpretrain's ``ImageClassifier.forward``.

        Returns:
            With ``mode='predict'``, data samples that have the fields ``margin`` (of
            the first model, in integers) and ``flagged``; with ``'tensor'``, logits.

        Raises:
            RuntimeError: For ``mode='loss'``.
        """
        if mode not in ('tensor', 'predict'):
            raise RuntimeError(
                f"a guarded model answers, it does not train: there is no mode '{mode}'"
            )
        result = self.model(inputs, data_samples, mode)
        margins = margins_of(self._logits.integers(self.guarantee.scale))
        rows = (margins < self.guarantee.margin).nonzero().flatten().tolist()
        result = result.clone() if rows and mode == 'tensor' else result
        for row in rows:
            sample = None if data_samples is None else [data_samples[row]]
            result[row] = self.wide(inputs[row : row + 1], sample, mode)[0]
        if mode == 'predict':
            mark(result, margins, self.guarantee.margin)
        return result


def _built(model: Any, preprocessor: Any) -> Any:
    if isinstance(model, nn.Module):
        return model
    config = dict(model)
    if preprocessor is not None:
        config.setdefault('data_preprocessor', preprocessor)
    return MODELS.build(config)
