"""Write what a quantized model does to an image as one program of integers.

python tools/export.py CONFIG CHECKPOINT --out FILE

A file that ends with .onnx is an ONNX model of integer operators, for ONNX Runtime
alone. Its inputs and outputs are integers; the metadata says what they stand for: JSON
lists ``inputs`` and ``outputs`` of name, scale, low and high, where an input is
``clip(rint(real / scale), low, high)`` (a pixel minus 128, where it has ``pixels``) and
a real output is the integers times scale. Any other file is for
``iptq_mm.program.Deployed``.
"""

import argparse
import sys


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(
        description='Write what a quantized model does to an image as one program'
    )
    parser.add_argument('config', help='integer.py that tools/quantize.py wrote')
    parser.add_argument(
        'checkpoint', nargs='?', help='integer.pth; default: load_from of the config'
    )
    parser.add_argument('--out', required=True, help='file to write: .onnx, or any')
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
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='size of the image that the model gets; default: of its test pipeline',
    )
    parser.add_argument('--print', action='store_true', help='print the program, too')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings, key=value',
    )
    return parser.parse_args()


def main() -> int:
    """Run the tool; mistakes of the user end it with a message, not a trace."""
    args = parse_args()
    from iptq_mm.calibration import ConfigError
    from iptq_mm.engine.export_program import export_config
    from iptq_mm.plan import PlanError
    from iptq_mm.program import ProgramError
    from iptq_mm.qtensor import UnsupportedOperationError

    try:
        program = export_config(
            args.config,
            args.checkpoint,
            args.out,
            regions=args.regions,
            keep=args.keep,
            shape=tuple(args.shape) if args.shape else None,
            cfg_options=args.cfg_options,
        )
    except (
        ConfigError,
        OSError,
        PlanError,
        ProgramError,
        RuntimeError,
        UnsupportedOperationError,
    ) as e:
        print(f'error: {e}', file=sys.stderr)
        return 1
    if args.print:
        print(program)
    shapes = [program.values[port.value].shape for port in program.inputs]
    print(f'wrote {program.region} for inputs of {shapes} to {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
