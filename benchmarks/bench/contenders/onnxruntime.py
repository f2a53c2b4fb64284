"""ONNX Runtime on floats, and on 8 bits between nodes that quantize."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..cases import Case, tensors
from .base import Contender, Prepared, Unavailable

#: Batches that give the ranges of peers: their speed does not depend on them.
CALIBRATION_BATCHES = 4


class OnnxRuntime(Contender):
    """The float model, exported by torch."""

    name = 'onnxruntime'

    def prepare(self, case: Case) -> Prepared:
        """See the base class."""
        return self.run(case, case.once('onnx', lambda: export(case)))

    def run(self, case: Case, model: bytes) -> Prepared:
        """Make an ONNX model ready."""
        ort = runtime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Its idle threads would take the time of whoever comes next.
        options.add_session_config_entry('session.force_spinning_stop', '1')
        session = ort.InferenceSession(
            model, options, providers=['CPUExecutionProvider']
        )
        feeds = {session.get_inputs()[0].name: case.images().numpy()}
        return Prepared(lambda: session.run(None, feeds), _tensors)


class OnnxRuntimeInt8(OnnxRuntime):
    """The same, statically quantized: QDQ, u8 activations, s8 weights by channel."""

    name = 'onnxruntime_int8'

    def prepare(self, case: Case) -> Prepared:
        """See the base class."""
        return self.run(case, case.once('onnx_int8', lambda: quantize(case)))


def runtime() -> Any:
    """The package.

    Raises:
        Unavailable: If it is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as error:
        raise Unavailable(
            f'{error.name} is missing: pip install -r requirements/benchmarks.txt'
        ) from error
    onnxruntime.set_default_logger_severity(3)
    return onnxruntime


def export(case: Case) -> bytes:
    """The float model of a case in ONNX.

    Raises:
        Unavailable: If it is a whole detector.
    """
    refuse_detectors(case)
    return exported(case.floats, case.images())


def exported(model: torch.nn.Module, images: Tensor) -> bytes:
    """A model in ONNX, for images of one shape."""
    runtime()
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        torch.onnx.export(model, (images,), file, dynamo=False, opset_version=17)
    return file.getvalue()


def quantize(case: Case) -> bytes:
    """The same, quantized by ONNX Runtime's own tool."""
    floats = case.once('onnx', lambda: export(case))
    seeds = range(1, CALIBRATION_BATCHES + 1)
    return statically(floats, (case.images(seed) for seed in seeds))


def statically(
    floats: bytes, batches: Iterable[Tensor], operators: Sequence[str] | None = None
) -> bytes:
    """A model that ONNX Runtime's own tool has quantized: QDQ, weights by channel.

    Args:
        floats: The float model in ONNX.
        batches: To calibrate with.
        operators: Kinds of operators that are quantized; None: all that it knows.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    name = runtime().InferenceSession(floats).get_inputs()[0].name

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = ({name: batch.numpy()} for batch in batches)

        def get_next(self) -> dict | None:
            return next(self._left, None)

    with tempfile.TemporaryDirectory() as folder, quiet():
        given, clean, made = (Path(folder, f'{i}.onnx') for i in range(3))
        given.write_bytes(floats)
        quant_pre_process(str(given), str(clean), skip_symbolic_shape=True)
        quantize_static(
            str(clean),
            str(made),
            Images(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=operators,
        )
        return made.read_bytes()


def refuse_detectors(case: Case) -> None:
    """Raise Unavailable if a case is a whole detector."""
    if case.is_detector:
        raise Unavailable('what follows the heads of a detector is not exported')


@contextlib.contextmanager
def quiet() -> Any:
    """Keep other packages' progress off the screen."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(previous)


def _tensors(arrays: Any) -> list[Tensor]:
    return tensors([torch.from_numpy(array) for array in arrays])
