"""Write what a quantized model does to an image as one program of integers.

python tools/export.py CONFIG CHECKPOINT --out FILE

The end of the file's name says the format:

- .onnx is an ONNX model of integer operators, for ONNX Runtime, TVM and what else
  docs/reference/runtimes.md names. Its inputs and
  outputs are integers; the metadata says what they stand for: JSON lists ``inputs`` and
  ``outputs`` of name, scale, low and high, where an input is
  ``clip(rint(real / scale), low, high)`` (a pixel minus 128, where it has ``pixels``)
  and a real output is the integers times scale. Outputs are named after the modules
  that make them. A known input and its outputs are written beside it, and a script that
  compares them in any runtime. ``--model-explorer`` also writes files that colour the
  graph in Google's Model Explorer.
- .iptq is a compiled program for the C library of ``runtime/``, which needs no Python:
  docs/how-to/deploy-without-python.md.
- ``--to detector`` writes a folder for a two-stage detector of mmdet, if all of it is
  quantized: .iptq files, and in detector.json what stands between them (anchors,
  RoIAlign, NMS). ``iptq_runtime.detection`` and the package for JavaScript run it.
- .c is the same program as C99 that needs nothing else: no heap, no library, no number
  with a point. Its header, beside it, says what goes in and out, and how many bytes of
  memory it computes in.
- Any other file is for ``iptq_mm.program.Deployed``.

The order of an image's channels, and how it is normalized, stand in all of them
(``image``), and are printed.
"""

import argparse
import sys
from pathlib import Path

import torch

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.export.detector import export_detector
from iptq_mm.engine.export.formats import WRITERS, format_of
from iptq_mm.engine.export.program import export_program
from iptq_mm.engine.loading.command_line import (
    add_image_shape,
    add_integer_model,
    mistakes_end_it,
)
from iptq_mm.engine.report.viewers import write_node_data
from iptq_mm.program.backends.base import backend_named
from iptq_mm.program.backends.onnx.export import ABOUT
from iptq_mm.program.ir.interface import interface


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Write what a quantized model does to an image as one program'
    )
    add_integer_model(parser)
    parser.add_argument(
        '--out', required=True, help='file to write: .onnx, .iptq, .c, or any'
    )
    parser.add_argument(
        '--to',
        choices=[*WRITERS, 'detector'],
        help='format, whatever the name of the file; file: compiled, for the runtime; '
        'c: freestanding C99; detector: a folder with a whole detector',
    )
    parser.add_argument(
        '--regions',
        nargs='+',
        default=(),
        help='names of the regions; default: the first, and all that follow from it',
    )
    parser.add_argument(
        '--keep',
        nargs='+',
        default=(),
        help='regions whose outputs are wanted even where another region takes them',
    )
    add_image_shape(parser)
    parser.add_argument('--print', action='store_true', help='print the program, too')
    parser.add_argument(
        '--backend',
        choices=['native'],
        help='with --print: print the steps that this back end makes of the program',
    )
    parser.add_argument(
        '--model-explorer',
        nargs='?',
        const='',
        metavar='WORK_DIR',
        help='also write errors, ranges and bits of the run as node data for Model '
        'Explorer, JSON beside the .onnx file; default: the folder of CONFIG',
    )
    return parser.parse_args()


def _detector(args: argparse.Namespace, shape: tuple[int, int] | None) -> int:
    """Write a whole detector; returns the exit status.

    Raises:
        ConfigError: If an option is given that has no meaning here.
    """
    for name in ('regions', 'keep', 'print', 'backend'):
        if getattr(args, name):
            raise ConfigError(f'--{name} and --to detector exclude each other')
    if args.model_explorer is not None:
        raise ConfigError('--model-explorer is for .onnx files')
    made = export_detector(
        args.config,
        args.checkpoint,
        args.out,
        shape=shape,
        cfg_options=args.cfg_options,
    )
    height, width = made.settings['image']
    print(f'wrote {len(made.programs)} programs for images of {height}x{width} to')
    print(f'{args.out}, with detector.json')
    return 0


@mistakes_end_it(RuntimeError)
def main() -> int:
    """Run the tool."""
    args = parse_args()
    shape = args.shape and tuple(args.shape)
    if args.to == 'detector':
        return _detector(args, shape)
    explorer, onnx = args.model_explorer, format_of(args.out, args.to) == 'onnx'
    if explorer is not None and not onnx:
        raise ConfigError('--model-explorer is for .onnx files: name one with --out')
    program = export_program(
        args.config,
        args.checkpoint,
        args.out,
        regions=args.regions,
        keep=args.keep,
        shape=shape,
        to=args.to,
        cfg_options=args.cfg_options,
    )
    if args.print and args.backend:
        print(backend_named(args.backend).prepare(program, torch.device('cpu')))
    elif args.print:
        print(program)
    shapes = program.input_shapes
    print(f'wrote {program.region} for inputs of {shapes} to {args.out}')
    print(interface(program))
    if onnx:
        print(f'its inputs and outputs are integers that stand for these. {ABOUT}')
    if explorer is not None:
        for path in write_node_data(args.out, explorer or Path(args.config).parent):
            print(f'node data for Model Explorer: {path}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
