"""From an integer checkpoint to a file with the integer program of its regions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from ...calibration import ConfigError
from ...modes import Mode, bound_region, regions_in
from ...modes.binding import own_forward
from ...modes.inputs.entering import entering
from ...program import Program, trace
from ...program.ir.image_format import ImageFormat
from ...program.ir.link import End, link
from ..loading.example import example_batch, test_pipeline
from ..loading.models import load_quantized
from .formats import format_of, write_program
from .image_format import image_format


def export_program(
    config: str | os.PathLike,
    checkpoint: str | None,
    out: str | os.PathLike,
    *,
    regions: Sequence[str] = (),
    keep: Sequence[str] = (),
    shape: tuple[int, int] | None = None,
    to: str | None = None,
    cfg_options: dict[str, Any] | None = None,
) -> Program:
    """Write the integer program of a quantized model, its regions joined to one.

    Args:
        config: The config that was written beside the integer checkpoint.
        checkpoint: Its checkpoint; None: ``load_from`` of the config.
        out: File to write; beside an ONNX model go the files of
            :func:`~.known.write_known`.
        regions: Names of the regions; none: the first that runs, and all that take
            nothing but what these give.
        keep: Of these, those whose outputs are wanted even where another takes them.
        shape: Height and width of the image that the model gets; None: as its test
            pipeline makes them. The program is for this size.
        to: Format, see :func:`.formats.format_of`.
        cfg_options: Overrides, by dotted key.

    Returns:
        The program that was written.

    Raises:
        ConfigError: If the config has no such region, or no example can be made.
        FileNotFoundError: If the config or the checkpoint is missing.
        ProgramError: If the format has no counterpart of an operation.
        RuntimeError: If the package onnx is missing.
    """
    format_of(out, to)  # wrong names end it before the work
    cfg, model = load_quantized(config, checkpoint, cfg_options)
    batch = example_batch(cfg, shape)
    images = image_format(model, test_pipeline(cfg))
    program = joined_program(model, batch, regions, keep, images)
    write_program(program, out, to)
    return program


def joined_program(
    model: nn.Module,
    batch: Any,
    regions: Sequence[str] = (),
    keep: Sequence[str] = (),
    images: ImageFormat | None = None,
) -> Program:
    """The program of some regions, joined where they hand over integers.

    Args:
        model: A quantized mm model.
        batch: As the data loader gives it.
        regions: See :func:`export_program`.
        keep: See :func:`export_program`.
        images: What images the data preprocessor gives.

    Raises:
        ConfigError: If the model does not call a region, or calls it twice.
    """
    known = list(regions_in(model))
    for name in (*regions, *keep):
        if name not in known:
            raise ConfigError(f"no region '{name}': there are {known}")
    calls = Calls(images)
    with torch.no_grad():
        calls.watch(model, batch)
    names = [program.region for program in calls.programs]
    chosen = list(regions) or calls.chain()
    for name in chosen:
        if names.count(name) != 1:
            raise ConfigError(
                f"the model calls region '{name}' {names.count(name)} times when it "
                'predicts: a program needs one call; name others with --regions'
            )
    in_order = sorted(map(names.index, chosen))
    where = {call: i for i, call in enumerate(in_order)}
    wires = {
        (where[taker], k): (where[giver], j)
        for (taker, k), (giver, j) in calls.wires.items()
        if taker in where and giver in where
    }
    programs = [calls.programs[call] for call in in_order]
    if len(programs) == 1:
        return programs[0]
    return link(programs, wires, {where[names.index(name)] for name in keep})


class Calls:
    """The calls of regions while a model predicts.

    Args:
        images: What images the data preprocessor gives.

    Attributes:
        programs: Of each call, in order.
        wires: From inputs to the outputs of other calls that were given to them.
    """

    def __init__(self, images: ImageFormat | None = None) -> None:
        self._images, self._image = images, None
        self.programs: list[Program] = []
        self.wires: dict[End, End] = {}
        self._made: dict[int, tuple[End, Tensor]] = {}

    def watch(self, model: nn.Module, batch: Any) -> None:
        """Run the model once."""
        before = {}
        for module in model.modules():
            region = bound_region(module)
            if region is not None:
                before[region.name] = region.session
                region.session = self
        preprocessor: Any = getattr(model, 'data_preprocessor', None)
        handle = preprocessor and preprocessor.register_forward_hook(self._note_image)
        try:
            model.test_step(batch)  # type: ignore[operator]
        finally:
            if handle:
                handle.remove()
            for name, region in regions_in(model).items():
                region.session = before[name]

    def serves(self, mode: Mode) -> bool:
        """Always: it stands in for every region."""
        return True

    def call(self, module: nn.Module, args: tuple, kwargs: dict) -> tuple[Any, list]:
        """Run a region in integer mode, and trace it."""
        region = bound_region(module)
        assert region is not None and region.mode is not None
        this = len(self.programs)
        traced = trace(module, args, kwargs)
        if traced.floats:
            raise ConfigError(
                f"region '{region.name}' keeps {traced.floats[0].path!r} float "
                '(quantization.overrides): a program has integers only; quantize '
                'without keep_float to export it'
            )
        program = traced.program
        self.programs.append(program)
        leaves = tree_flatten((args, kwargs))[0]
        each = zip(leaves, entering(module, leaves), strict=True)
        reals = [x for x, enters in each if enters]
        for k, x in enumerate(reals):
            if x is self._image:
                program.inputs[k] = replace(program.inputs[k], image=self._images)
            if id(x) in self._made:
                self.wires[this, k] = self._made[id(x)][0]
        result, outputs = region.run(
            region.mode, module, own_forward(module), args, kwargs
        )
        # The tensors are kept: a number must not be given to another one.
        self._made |= {id(x): ((this, j), x) for j, x in enumerate(outputs)}
        return result, outputs

    def _note_image(self, _: nn.Module, args: tuple, data: Any) -> None:
        """Remember what the data preprocessor made."""
        self._image = data.get('inputs') if isinstance(data, dict) else None

    def chain(self) -> list[str]:
        """The first region, and all that take nothing but what these give."""
        found: list[int] = []
        for n, program in enumerate(self.programs):
            givers = [self.wires.get((n, k)) for k in range(len(program.inputs))]
            if not found or all(g is not None and g[0] in found for g in givers):
                found.append(n)
        return [self.programs[n].region for n in found]
