"""Write a region of a quantized model as an ONNX model with integer operators only.

python tools/export_onnx.py CONFIG CHECKPOINT --out FILE

The file runs in ONNX Runtime alone. Its inputs and outputs are integers; the metadata
says what they stand for: JSON lists ``inputs`` and ``outputs`` of name, scale, low and
high, where an input is ``clip(rint(real / scale), low, high)`` and a real output is
the integers times scale.
"""

import argparse
import sys


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(
        description='Write a region of a quantized model as an ONNX model of integers'
    )
    parser.add_argument('config', help='integer.py that tools/quantize.py wrote')
    parser.add_argument(
        'checkpoint', nargs='?', help='integer.pth; default: load_from of the config'
    )
    parser.add_argument('--out', required=True, help='ONNX file to write')
    parser.add_argument('--region', help='name of the region; default: the first')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='size of the image that the model gets; default: of its test pipeline',
    )
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
    from iptq_mm.engine.onnx_export import export_config_onnx
    from iptq_mm.plan import PlanError
    from iptq_mm.program import ProgramError
    from iptq_mm.qtensor import UnsupportedOperationError

    try:
        program = export_config_onnx(
            args.config,
            args.checkpoint,
            args.out,
            region=args.region,
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
    shapes = [program.values[port.value].shape for port in program.inputs]
    print(f'wrote {program.region} for inputs of {shapes} to {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
