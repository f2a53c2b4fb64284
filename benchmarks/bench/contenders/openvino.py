"""OpenVINO on floats, and on 8 bits as NNCF quantizes for it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..cases import Case
from .base import Contender, Prepared, Unavailable
from .onnxruntime import CALIBRATION_BATCHES, quiet, refuse_detectors


class OpenVino(Contender):
    """A model in OpenVINO.

    Args:
        name: Of the contender.
        int8: Whether NNCF quantizes it.
        precision: What is not int8 computes in: ``f32``, or None for what OpenVINO
            chooses: bf16 where the CPU has it.
    """

    def __init__(self, name: str, int8: bool, precision: str | None) -> None:
        self.name, self.int8, self.precision = name, int8, precision

    def prepare(self, case: Case) -> Prepared:
        """See the base class."""
        refuse_detectors(case)
        model = case.once('openvino', lambda: convert(case))
        if self.int8:
            model = case.once('openvino_int8', lambda: quantize(case, model))
        return Prepared(inference(model, self.precision, case.images()), tensors_of)


class OpenVinoThroughput(Contender):
    """The images of a batch one by one, as many at a time as OpenVINO finds best.

    Args:
        name: Of the contender.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def prepare(self, case: Case) -> Prepared:
        """See the base class."""
        refuse_detectors(case)
        if case.batch == 1:
            raise Unavailable('openvino_int8 has no more than one image either')
        model = case.once('openvino_images', lambda: one_by_one(case))
        compiled = package('openvino').compile_model(
            model, 'CPU', _properties('THROUGHPUT')
        )
        queue = package('openvino').AsyncInferQueue(compiled)
        images = [x.numpy() for x in case.images().split(1)]
        results: list[Any] = [None] * len(images)

        def keep(request: Any, number: int) -> None:
            results[number] = [o.data.copy() for o in request.output_tensors]

        queue.set_callback(keep)

        def call() -> list[Any]:
            for number, image in enumerate(images):
                queue.start_async([image], number, share_inputs=True)
            queue.wait_all()
            return results

        return Prepared(call, _together)


def one_by_one(case: Case) -> Any:
    """The model of a case for single images, quantized by NNCF's recipe."""
    batches = [case.images(seed) for seed in range(1, CALIBRATION_BATCHES + 1)]
    images = [image for batch in batches for image in batch.split(1)]
    return for_transformers(converted(case.floats, images[0]), images)


def _together(results: list[Any]) -> list[Tensor]:
    """The outputs of all images, as those of a batch."""
    outputs = zip(*results, strict=True)
    return [torch.cat([torch.from_numpy(x) for x in each]) for each in outputs]


def _properties(hint: str) -> dict[str, Any]:
    return {
        'PERFORMANCE_HINT': hint,
        'INFERENCE_NUM_THREADS': torch.get_num_threads(),
        'ENABLE_CPU_PINNING': False,
    }


def inference(model: Any, precision: str | None, *inputs: Tensor) -> Callable[[], Any]:
    """One inference of a model in OpenVINO, on the threads that torch has.

    Args:
        model: For OpenVINO.
        precision: See :class:`OpenVino`.
        inputs: Its inputs.
    """
    properties = _properties('LATENCY')
    if precision:
        properties['INFERENCE_PRECISION_HINT'] = precision
    compiled = package('openvino').compile_model(model, 'CPU', properties)
    request, arrays = compiled.create_infer_request(), [x.numpy() for x in inputs]
    return lambda: request.infer(arrays, share_inputs=True, share_outputs=True)


def package(name: str) -> Any:
    """A package.

    Raises:
        Unavailable: If it is missing.
    """
    try:
        return __import__(name)
    except ImportError as error:
        raise Unavailable(
            f'{error.name} is missing: pip install -r requirements/benchmarks.txt'
        ) from error


def convert(case: Case) -> Any:
    """The float model of a case for OpenVINO, for one size of images."""
    return converted(case.floats, case.images())


def converted(model: torch.nn.Module, *inputs: Tensor) -> Any:
    """A model for OpenVINO, for inputs of these shapes."""
    openvino = package('openvino')
    with warnings.catch_warnings(), torch.no_grad(), quiet():
        warnings.simplefilter('ignore')
        example = inputs if len(inputs) > 1 else inputs[0]
        return openvino.convert_model(
            model, example_input=example, input=[tuple(x.shape) for x in inputs]
        )


def quantize(case: Case, model: Any) -> Any:
    """The same, quantized by NNCF's recipe for transformers."""
    seeds = range(1, CALIBRATION_BATCHES + 1)
    return for_transformers(model, [case.images(seed) for seed in seeds])


def for_transformers(
    model: Any,
    batches: Sequence[Tensor | tuple[Tensor, ...]],
    smooth_quant: bool = True,
) -> Any:
    """A model that NNCF has quantized with its recipe for transformers.

    Args:
        model: For OpenVINO.
        batches: To calibrate with; tuples where there are several inputs.
        smooth_quant: Whether it moves factors from activations into weights.
    """
    nncf = package('nncf')
    alphas = nncf.AdvancedSmoothQuantParameters(matmul=0.95 if smooth_quant else -1)
    with quiet():
        return nncf.quantize(
            model,
            nncf.Dataset([_arrays(batch) for batch in batches]),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(batches),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                smooth_quant_alphas=alphas
            ),
        )


def _arrays(batch: Tensor | tuple[Tensor, ...]) -> Any:
    if isinstance(batch, tuple):
        return [x.numpy() for x in batch]
    return batch.numpy()


def tensors_of(results: Any) -> list[Tensor]:
    """Copies of what an inference gave."""
    return [torch.from_numpy(results[i].copy()) for i in range(len(results))]
