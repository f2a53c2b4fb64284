"""A quantized model with its plans and its report, that can be saved and exported."""

from __future__ import annotations

import json
import os
from typing import Any

from torch import nn

from ...calibration import ConfigError
from ...plan import RegionPlan
from ...program import Program
from ...utils.files import atomic_save
from ..export.checkpoint import quantized_state
from ..export.formats import write_program
from ..export.program import joined_program
from .calling import Call, to_device
from .holder import Holder, stepping


class QuantizedModel:
    """The result of :func:`iptq_mm.quantize`.

    Attributes:
        model: The model: a torch module like the float one, which runs integers where
            that ran floats.
        plan: All decisions, by region: bits, ranges, scales, functions.
        report: What was found, in plain types: ``regions``, ``decibels`` (against the
            float model, of each output on the last calibration batch), ``functions``
            by site, ``bytes`` of the parameters as float32 and as integers, ``checks``
            of each region, ``seconds`` of each phase, and the ``audit``.

    Args:
        root: The model whose parts are the regions: ``model``, or a holder of it.
        plan: See the attributes.
        report: See the attributes.
        call: Runs ``model`` on a batch.
        example: A batch for :meth:`export`; None: there is none.
    """

    def __init__(
        self,
        root: nn.Module,
        plan: dict[str, RegionPlan],
        report: dict[str, Any],
        call: Call,
        example: Any = None,
    ) -> None:
        self._root, self._call, self._example = root, call, example
        self.model: nn.Module = root.model if isinstance(root, Holder) else root
        self.plan = plan
        self.report = report

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model on a batch, or on arguments of its own.

        A single argument is a batch of the forms that :func:`iptq_mm.quantize` takes: a
        dict has keyword arguments.
        """
        if len(args) == 1 and not kwargs:
            return self._call(self.model, args[0])
        return self.model(*args, **kwargs)

    def save(self, path: str | os.PathLike) -> None:
        """Write the integers and plans; :func:`iptq_mm.load` reads them.

        The file holds tensors and plain types only, and is whole or not there.

        Raises:
            OSError: If it cannot be written.
        """
        state = quantized_state(self._root)
        whole = isinstance(self._root, Holder)
        report = json.dumps(self.report)
        meta = {'whole': whole, 'regions': list(self.plan), 'report': report}
        atomic_save({'iptq_mm': meta, 'state_dict': state}, path)

    def export(self, path: str | os.PathLike, batch: Any = None) -> Program:
        """Write the integer program of the regions, for another software.

        Args:
            path: File to write: an ONNX model where it ends with ``.onnx``, a compiled
                program for the C library where it ends with ``.iptq``, else a program
                for ``Deployed``.
            batch: The program is for its shapes; None: those of the last batch of the
                calibration.

        Returns:
            The program that was written.

        Raises:
            ConfigError: If there is no batch, or a region is called more than once.
            ProgramError: If an operation has no counterpart.
            RuntimeError: If the package onnx is missing.
        """
        batch = self._example if batch is None else batch
        if batch is None:
            raise ConfigError(
                'export needs shapes, and this model was loaded: give a batch, '
                'export(path, batch)'
            )
        batch = to_device(batch, self.model)
        with stepping(self._root, self._call):
            program = joined_program(self._root, batch)
        write_program(program, path)
        return program
