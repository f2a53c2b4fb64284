"""The test loop that evaluates the float and the integer model on the same images."""

from __future__ import annotations

import copy
import math
import os
import time
from contextlib import AbstractContextManager
from typing import Any

import torch
from mmengine import dist
from mmengine.evaluator import DumpResults, Evaluator
from mmengine.runner import TestLoop
from mmengine.runner.amp import autocast
from torch import nn

from ...calibration import ConfigError
from ...modes import regions_in
from ...program import EVERY
from ...registry import LOOPS
from ..loading.foreign import foreign_errors
from ..loading.models import unwrapped
from ..quantize.augmentation import inside
from ..quantize.progress import progress_of
from .float_cache import FloatCache, fingerprint
from .output_comparison import OutputComparison
from .pixel_watch import PixelWatch
from .range_watch import RangeWatch
from .rehearsal import rehearse

#: Attributes of metrics that name the files which they write and read again.
_PLACES = ('outfile_prefix', 'seg_out_dir')


@LOOPS.register_module()
class ComparingLoop(TestLoop):
    """Test the float and the quantized model in one pass over the images.

    A ``before_test`` hook has to quantize the model (``QuantizationHook``). The
    metrics of both come from the standard evaluator. Every region output is
    compared as it is made, so that only sums are kept.

    Args:
        runner: The runner.
        dataloader: As ``test_dataloader`` of a config.
        evaluator: As ``test_evaluator`` of a config.
        fp16: As in mmengine's ``TestLoop``; both models run without.
        float_cache: Folder in which to keep what the float model gives, and to
            find it in the next run; see
            :class:`~.float_cache.FloatCache`. None: it always runs.
        count_every: One image of so many is counted for the out-of-range log, where a
            back end runs the model. The eager integer mode counts all.

    Attributes:
        results: After :meth:`run`: ``float`` and ``integer`` metrics,
            ``agreement`` (classification only), ``output_sqnr_db``,
            what :meth:`.range_watch.RangeWatch.finish` counts, ``clipped_images``
            (count and total by region; only where images are no 8-bit pixels that
            were in calibration), and ``seconds``
            (of a float model that did not run, those it took when it did).
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        evaluator: Any,
        fp16: bool = False,
        float_cache: str | None = None,
        count_every: int = EVERY,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        self._count_every = count_every
        self._float_cache = float_cache

    def run(self) -> dict:
        """Run the test.

        Returns:
            The metrics of the integer model.

        Raises:
            ConfigError: If no hook quantized the model, or model, test data and
                evaluator do not fit each other.
        """
        self.float_model = _twin(unwrapped(self.runner.model)).eval()
        self.float_evaluator = _without_dumps(self.evaluator)
        # Kept as long as the others: its metrics may remove folders that these share.
        self._tried = copy.deepcopy(self.float_evaluator)
        rehearse(self.float_model, self.dataloader, self._tried)
        self.seconds = {'float': 0.0, 'integer': 0.0}
        self.cache = self._open_cache()
        self.runner.call_hook('before_test')
        self.integer_model = unwrapped(self.runner.model)
        regions = regions_in(self.integer_model)
        if not regions or regions_in(self.float_model):
            raise ConfigError(
                'ComparingLoop: no hook quantized the model; start from a float model '
                "and add dict(type='iptq_mm.QuantizationHook') to custom_hooks"
            )
        self.comparison = OutputComparison(inside(self.float_model), regions)
        watch = PixelWatch(inside(self.integer_model), regions)
        ranges = RangeWatch(self.integer_model, self._count_every)
        self.runner.call_hook('before_test_epoch')
        self.runner.model.eval()
        batches = progress_of(self.dataloader, 'evaluate', len(self.dataloader))
        for i, batch in enumerate(batches):
            self.run_iter(i, batch)
        clipped, outside = watch.finish(), ranges.finish()
        count = len(self.dataloader.dataset)
        floats = self._float_metrics(count)
        dumps = _taken_dumps(self.evaluator)
        with _metrics_explained():
            integers = self.evaluator.evaluate(count)
        self.results = {
            'float': floats,
            'integer': _plain(integers),
            **self.comparison.summary(),
            **outside,
            **({'clipped_images': clipped} if clipped else {}),
            'seconds': {k: round(v, 2) for k, v in self.seconds.items()},
        }
        self.runner.call_hook('after_test_epoch', metrics=integers)
        # Last of all: no full disk may cost the figures.
        for dump in dumps:
            _write(dump, count)
        self.runner.call_hook('after_test')
        return integers

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Run both models on a batch."""
        self.runner.call_hook('before_test_iter', batch_idx=idx, data_batch=data_batch)
        with autocast(enabled=False):
            floats = self._floats(idx, data_batch)
            outputs = self._timed(
                'integer', self.integer_model, self.evaluator, data_batch
            )
        self.comparison.compare(floats, outputs)
        self.runner.call_hook(
            'after_test_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
        )

    def _floats(self, idx: int, batch: Any) -> Any:
        """Predictions of the float model; its region outputs go to the comparison."""
        expected = self.comparison.expected
        if self.cache and self.cache.kept:
            return self.cache.replay(idx, batch, expected)
        images = fingerprint(batch) if self.cache else ''
        # Detectors write their predictions into the samples of the batch.
        twin = copy.deepcopy(batch)
        outputs = self._timed('float', self.float_model, self.float_evaluator, twin)
        if self.cache:
            self.cache.record(images, outputs, expected)
        return outputs

    def _float_metrics(self, count: int) -> dict[str, Any]:
        if self.cache and self.cache.kept:
            self.seconds['float'] = self.cache.kept['seconds']
            return self.cache.kept['metrics']
        with _metrics_explained():
            metrics = _plain(self.float_evaluator.evaluate(count))
        if self.cache:
            self.cache.finish(metrics, self.seconds['float'])
        return metrics

    def _open_cache(self) -> FloatCache | None:
        # Each rank sees a part of the images only.
        if not self._float_cache or dist.is_distributed():
            return None
        cfg = self.runner.cfg
        parts = ('model', 'data_preprocessor', 'test_dataloader', 'test_evaluator')
        count = len(self.dataloader.dataset)
        settings = repr([count, *(cfg.get(part) for part in parts)])
        return FloatCache(self._float_cache, self.float_model, settings)

    def _timed(self, name: str, model: Any, evaluator: Evaluator, batch: Any) -> Any:
        began = _now()
        outputs = model.test_step(batch)
        self.seconds[name] += _now() - began
        evaluator.process(data_samples=outputs, data_batch=batch)
        return outputs


def _metrics_explained() -> AbstractContextManager[None]:
    return foreign_errors(
        'test_evaluator cannot compute its metrics',
        'mend it (ann_file, classes, ...) and go on with --resume: what calibration '
        'found is kept in the work dir',
    )


def _now() -> float:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def _twin(model: nn.Module) -> nn.Module:
    """A copy that shares the parameters: quantization replaces, it never writes.

    Buffers and whatever else modules keep are its own: each model makes of the images
    what it keeps.
    """
    memo = {id(p): p for p in model.parameters()}
    return copy.deepcopy(model, memo | {id(b): b.clone() for b in model.buffers()})


def _without_dumps(evaluator: Evaluator) -> Evaluator:
    """A copy for the float model: a file of predictions is the integer one's."""
    evaluator = copy.deepcopy(evaluator)
    evaluator.metrics = [m for m in evaluator.metrics if not isinstance(m, DumpResults)]
    for metric in evaluator.metrics:
        for name in _PLACES:
            place = getattr(metric, name, None)
            if isinstance(place, str):
                setattr(metric, name, f'{place}_float')
                if os.path.isdir(place):
                    os.makedirs(f'{place}_float', exist_ok=True)
    return evaluator


def _taken_dumps(evaluator: Evaluator) -> list[DumpResults]:
    """Take the metrics that write predictions out of an evaluator."""
    dumps = [m for m in evaluator.metrics if isinstance(m, DumpResults)]
    evaluator.metrics = [m for m in evaluator.metrics if not isinstance(m, DumpResults)]
    return dumps


def _write(dump: DumpResults, count: int) -> None:
    """Let a metric write its predictions.

    Raises:
        OSError: If it cannot; names the file.
    """
    try:
        dump.evaluate(count)
    except OSError as error:
        path = str(dump.out_file_path)
        reason = f'the predictions cannot be written ({error.strerror or error})'
        raise OSError(error.errno or 0, reason, path) from error


def _plain(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics as JSON has them: numbers, lists and text."""
    return {k: _plain_value(v) for k, v in metrics.items()}


def _plain_value(value: Any) -> Any:
    if hasattr(value, 'tolist'):  # tensors and arrays
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): _plain_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(v) for v in value]
    if isinstance(value, int | float):
        # JSON has no NaN.
        return round(float(value), 6) if math.isfinite(value) else None
    return None if value is None else str(value)
