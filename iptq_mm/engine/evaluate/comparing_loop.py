"""The test loop that evaluates the float and the integer model on the same images."""

from __future__ import annotations

import copy
import time
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import torch
from mmengine import dist
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.runner import TestLoop
from torch import nn

from ...calibration import ConfigError
from ...modes import regions_in
from ...program import EVERY
from ...registry import LOOPS
from ..loading.foreign import foreign_errors
from ..loading.models import unwrapped
from ..quantize.augmentation import inside
from ..quantize.progress import progress_of
from .differing import Differing
from .float_cache import FloatCache, fingerprint
from .float_results import FloatResults, given_results
from .identity import identity_of
from .metric_files import float_evaluator, taken_dumps, write_dump
from .output_comparison import OutputComparison
from .pixel_watch import PixelWatch
from .plain import plain
from .range_watch import RangeWatch
from .rehearsal import rehearse


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
        run_float: False: the float model predicts one image, as a rehearsal, and its
            metrics are left out.
        float_results: File with what it gave in an earlier run, in the place of running
            it; see :func:`~.float_results.read_float_results`.

    Attributes:
        float_results: What the float model gave, now or earlier; None: it did not run.
        differing: After :meth:`run`: the images on which the models differ most, see
            :class:`~.differing.Differing`, and in words what their difference is.
        results: After :meth:`run`: ``float`` and ``integer`` metrics (of a float model
            that did not run, none),
            ``agreement`` (classification only), ``output_sqnr_db`` (of a float model
            that ran),
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
        run_float: bool = True,
        float_results: str | None = None,
    ) -> None:
        if isinstance(evaluator, dict | list):
            what = 'test_evaluator cannot be built'
            with foreign_errors(what, 'check its type, its options and its ann_file'):
                evaluator = runner.build_evaluator(evaluator)
        super().__init__(runner, dataloader, evaluator, fp16)
        self._count_every = count_every
        self._float_cache = float_cache
        self._given = float_results
        self._runs_float = run_float and not float_results
        self.float_results: FloatResults | None = None
        self.differing: list[dict[str, Any]] = []
        self.difference_meaning = ''

    def run(self) -> dict:
        """Run the test.

        Returns:
            The metrics of the integer model.

        Raises:
            ConfigError: If no hook quantized the model, or model, test data and
                evaluator do not fit each other.
        """
        float_model = twin(unwrapped(self.runner.model)).eval()
        self.float_evaluator = float_evaluator(self.evaluator)
        # Kept as long as the others: its metrics may remove folders that these share.
        self._tried = copy.deepcopy(self.float_evaluator)
        rehearse(float_model, self.dataloader, self._tried)
        was_float = not regions_in(float_model)
        self._begin(float_model)
        del float_model  # its memory, if it does not run
        self.runner.call_hook('before_test')
        self.integer_model = unwrapped(self.runner.model)
        regions = regions_in(self.integer_model)
        if not regions or not was_float:
            raise ConfigError(
                'ComparingLoop: no hook quantized the model; start from a float model '
                "and add dict(type='iptq_mm.QuantizationHook') to custom_hooks"
            )
        compared = self.float_model and inside(self.float_model)
        self.comparison = OutputComparison(compared, regions)
        watch = PixelWatch(inside(self.integer_model), regions)
        ranges = RangeWatch(self.integer_model, self._count_every)
        meta = getattr(self.dataloader.dataset, 'metainfo', None) or {}
        self._pictures = Differing(meta.get('classes') or ())
        self.runner.call_hook('before_test_epoch')
        self.runner.model.eval()
        # What the hook that quantized expects of the rest of the run.
        outlook = next(filter(None, map(_outlook, self.runner.hooks)), None)
        batches = progress_of(
            self.dataloader, 'evaluate', len(self.dataloader), outlook=outlook
        )
        for i, batch in enumerate(batches):
            self.run_iter(i, batch)
        clipped, outside = watch.finish(), ranges.finish()
        self.differing = self._pictures.finish()
        self.difference_meaning = self._pictures.meaning
        count = len(self.dataloader.dataset)
        self._finish_float(count)
        floats = self.float_results
        dumps = taken_dumps(self.evaluator)
        with _metrics_explained():
            integers = self.evaluator.evaluate(count)
        self.results = {
            'float': floats.metrics if floats else {},
            'integer': plain(integers),
            **({'float_identity': floats.identity} if floats else {}),
            **self.comparison.summary(),
            **outside,
            **({'clipped_images': clipped} if clipped else {}),
            'seconds': {k: round(v, 2) for k, v in self.seconds.items()},
        }
        self.runner.call_hook('after_test_epoch', metrics=integers)
        # Last of all: no full disk may cost the figures.
        for dump in dumps:
            write_dump(dump, count)
        self.runner.call_hook('after_test')
        return integers

    def _begin(self, float_model: nn.Module) -> None:
        """Find out what there is of the float model, before it is quantized."""
        dataset, cfg = self.dataloader.dataset, self.runner.cfg
        self.seconds = {'integer': 0.0}
        self.float_model: nn.Module | None = None
        self.cache: FloatCache | None = None
        self._classes: list[int] = []
        self._seen = 0
        if self._given:
            self.float_results = given_results(
                self._given, float_model, self.float_evaluator, dataset, cfg
            )
            print_log(
                f'the float model does not run: {self.float_results.source} has its '
                'metrics',
                'current',
            )
            if self.float_results.seconds is not None:
                self.seconds['float'] = self.float_results.seconds
        elif self._runs_float:
            self.float_model = float_model
            self.seconds = {'float': 0.0, 'integer': 0.0}
            self._identity = identity_of(float_model, dataset, cfg)
            self.cache = self._open_cache(float_model)

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Run both models on a batch."""
        self.runner.call_hook('before_test_iter', batch_idx=idx, data_batch=data_batch)
        kind = next((p.device.type for p in self.integer_model.parameters()), 'cpu')
        with torch.autocast(kind, enabled=False):
            floats = self._floats(idx, data_batch)
            outputs = self._timed(
                'integer', self.integer_model, self.evaluator, data_batch
            )
        self.comparison.compare(floats, outputs)
        self._pictures.see(data_batch, floats, outputs)
        self.runner.call_hook(
            'after_test_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
        )

    def _floats(self, idx: int, batch: Any) -> Any:
        """Predictions of the float model; its region outputs go to the comparison.

        None: there are none.
        """
        if self.float_model is None:
            return self._given_floats(batch)
        expected = self.comparison.expected
        if self.cache and self.cache.kept:
            outputs = self.cache.replay(idx, batch, expected)
        else:
            images = fingerprint(batch) if self.cache else ''
            # Detectors write their predictions into the samples of the batch.
            twin = copy.deepcopy(batch)
            outputs = self._timed('float', self.float_model, self.float_evaluator, twin)
            if self.cache:
                self.cache.record(images, outputs, expected)
        self._classes += [
            int(s.pred_score.argmax()) for s in outputs if hasattr(s, 'pred_score')
        ]
        return outputs

    def _given_floats(self, batch: Any) -> list[SimpleNamespace] | None:
        """Something with the class that the float model predicted, for each image."""
        classes = self.float_results and self.float_results.classes
        if not classes:
            return None
        rank, ranks = dist.get_dist_info()
        first, count = self._seen, len(batch['inputs'])
        self._seen += count
        # As samplers share images among processes.
        places = (place * ranks + rank for place in range(first, first + count))
        labels = (classes[place % len(classes)] for place in places)
        return [SimpleNamespace(pred_score=torch.arange(n + 1)) for n in labels]

    def _finish_float(self, count: int) -> None:
        """Put together what the float model gave, if it ran."""
        if self.float_model is None:
            return
        if self.cache and self.cache.kept:
            self.seconds['float'] = self.cache.kept['seconds']
            metrics = self.cache.kept['metrics']
        else:
            with _metrics_explained():
                metrics = plain(self.float_evaluator.evaluate(count))
            if self.cache:
                self.cache.finish(metrics, self.seconds['float'])
        seconds = round(self.seconds['float'], 2)
        classes = dist.collect_results(self._classes, count, 'cpu') or None
        self.float_results = FloatResults(metrics, seconds, self._identity, classes)

    def _open_cache(self, float_model: nn.Module) -> FloatCache | None:
        # Each rank sees a part of the images only.
        if not self._float_cache or dist.is_distributed():
            return None
        cfg = self.runner.cfg
        parts = ('model', 'data_preprocessor', 'test_dataloader', 'test_evaluator')
        count = len(self.dataloader.dataset)
        settings = repr([count, *(cfg.get(part) for part in parts)])
        return FloatCache(self._float_cache, float_model, settings)

    def _timed(self, name: str, model: Any, evaluator: Evaluator, batch: Any) -> Any:
        began = _now()
        outputs = model.test_step(batch)
        self.seconds[name] += _now() - began
        evaluator.process(data_samples=outputs, data_batch=batch)
        return outputs


def _outlook(hook: Any) -> Any:
    return getattr(hook, 'outlook', None)


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


def twin(model: nn.Module) -> nn.Module:
    """A copy that shares the parameters: quantization replaces, it never writes.

    Buffers and whatever else modules keep are its own: each model makes of the images
    what it keeps.
    """
    memo = {id(p): p for p in model.parameters()}
    return copy.deepcopy(model, memo | {id(b): b.clone() for b in model.buffers()})
