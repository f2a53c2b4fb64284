"""Float and integer model on the same images, side by side."""

from __future__ import annotations

import copy
import time
from typing import Any

import torch
from mmengine import dist
from mmengine.evaluator import Evaluator
from mmengine.runner import TestLoop
from mmengine.runner.amp import autocast
from torch import Tensor, nn

from ..calibration import ConfigError
from ..modes import Integer, Region, regions_in
from ..registry import LOOPS
from .quantize import unwrapped


@LOOPS.register_module()
class ComparingLoop(TestLoop):
    """Test the float and the quantized model in one pass over the images.

    A ``before_test`` hook has to quantize the model (``QuantizationHook``). The
    metrics of both come from the standard evaluator. Every region output is
    compared as it is made, so nothing is kept but sums.

    Attributes:
        results: After :meth:`run`: ``float`` and ``integer`` metrics,
            ``agreement`` (classification only), ``output_sqnr_db``,
            ``saturation`` and ``seconds``.
    """

    def run(self) -> dict:
        """Run the test.

        Returns:
            The metrics of the integer model.

        Raises:
            ConfigError: If no hook quantized the model.
        """
        self.float_model = copy.deepcopy(unwrapped(self.runner.model)).eval()
        self.float_evaluator = copy.deepcopy(self.evaluator)
        self.seconds = {'float': 0.0, 'integer': 0.0}
        self.runner.call_hook('before_test')
        self.integer_model = unwrapped(self.runner.model)
        regions = regions_in(self.integer_model)
        if not regions:
            raise ConfigError(
                'ComparingLoop: nothing quantized the model; add '
                "dict(type='iptq_mm.QuantizationHook') to custom_hooks"
            )
        self.comparison = _Comparison(self.float_model, regions)
        self.runner.call_hook('before_test_epoch')
        self.runner.model.eval()
        for i, batch in enumerate(self.dataloader):
            self.run_iter(i, batch)
        count = len(self.dataloader.dataset)
        floats = self.float_evaluator.evaluate(count)
        integers = self.evaluator.evaluate(count)
        self.results = {
            'float': _plain(floats),
            'integer': _plain(integers),
            **self.comparison.summary(),
            'seconds': {k: round(v, 2) for k, v in self.seconds.items()},
        }
        self.runner.call_hook('after_test_epoch', metrics=integers)
        self.runner.call_hook('after_test')
        return integers

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Run both models on a batch."""
        self.runner.call_hook('before_test_iter', batch_idx=idx, data_batch=data_batch)
        # Detectors write their predictions into the samples of the batch.
        twin = copy.deepcopy(data_batch)
        with autocast(enabled=False):
            floats = self._timed('float', self.float_model, self.float_evaluator, twin)
            outputs = self._timed(
                'integer', self.integer_model, self.evaluator, data_batch
            )
        self.comparison.compare(floats, outputs)
        self.runner.call_hook(
            'after_test_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
        )

    def _timed(self, name: str, model: Any, evaluator: Evaluator, batch: Any) -> Any:
        began = time.perf_counter()
        outputs = model.test_step(batch)
        self.seconds[name] += time.perf_counter() - began
        evaluator.process(data_samples=outputs, data_batch=batch)
        return outputs


class _Comparison:
    """Sums over the outputs of both models."""

    def __init__(self, float_model: nn.Module, regions: dict[str, Region]) -> None:
        self.regions = regions
        self.expected: dict[str, list[list[Tensor]]] = {name: [] for name in regions}
        self.sums: dict[str, Tensor] = {}
        self.same = torch.zeros(2, dtype=torch.float64)
        for name, region in regions.items():
            assert isinstance(region.mode, Integer)
            region.mode.saturation = {}
            region.on_output = self._compare_outputs
            float_model.get_submodule(name).register_forward_hook(
                lambda m, i, output, name=name: self.expected[name].append(  # type: ignore
                    [t for t in _tensors(output) if t.is_floating_point()]
                )
            )

    def _compare_outputs(self, name: str, outputs: list[Tensor]) -> None:
        # A head may see other inputs than its float twin (other proposals): such
        # outputs have no counterpart.
        expected = self.expected[name].pop(0) if self.expected[name] else []
        for i, (e, o) in enumerate(zip(expected, outputs, strict=False)):
            if e.shape == o.shape:
                e, o = e.double(), o.double()
                sums = torch.stack([(e * e).sum(), ((e - o) ** 2).sum()]).cpu()
                key = f'{name}:{i}'
                self.sums[key] = self.sums.get(key, torch.zeros(2).double()) + sums

    def compare(self, floats: Any, integers: Any) -> None:
        """Compare the predicted classes of a batch."""
        for outputs in self.expected.values():
            outputs.clear()
        for f, q in zip(floats, integers, strict=True):
            if hasattr(f, 'pred_score') and hasattr(q, 'pred_score'):
                same = bool(f.pred_score.argmax() == q.pred_score.argmax())
                self.same += torch.tensor([same, 1.0], dtype=torch.float64)

    def summary(self) -> dict[str, Any]:
        """Figures over all ranks."""
        dist.all_reduce(self.same)
        result: dict[str, Any] = {}
        if self.same[1]:
            result['agreement'] = round(float(self.same[0] / self.same[1]), 6)
        result['output_sqnr_db'] = {}
        for key in sorted(self.sums):
            dist.all_reduce(self.sums[key])
            signal, error = self.sums[key].tolist()
            ratio = torch.tensor(signal / max(error, 1e-300), dtype=torch.float64)
            result['output_sqnr_db'][key] = round(float(10 * ratio.log10()), 2)
        result['saturation'] = {}
        for name, region in self.regions.items():
            assert isinstance(region.mode, Integer)
            for site, seen in (region.mode.saturation or {}).items():
                counts = torch.tensor([seen.saturated, seen.total])
                dist.all_reduce(counts)
                saturated, total = counts.tolist()
                if saturated:
                    result['saturation'][f'{name}:{site}'] = saturated / total
            region.mode.saturation = None
            region.on_output = None
        return result


def _tensors(tree: Any) -> list[Tensor]:
    from torch.utils._pytree import tree_leaves

    return [t for t in tree_leaves(tree) if isinstance(t, Tensor)]


def _plain(metrics: dict[str, Any]) -> dict[str, float]:
    return {k: round(float(v), 6) for k, v in metrics.items()}
