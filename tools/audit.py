"""Prove that a quantized model runs on integers only and cannot overflow.

python tools/audit.py CONFIG [CHECKPOINT]
"""

import argparse
import json
import sys

from iptq_mm.engine.audit import audit_config
from iptq_mm.program.audit import markdown, plain
from iptq_mm.utils.files import atomic_write


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(
        description='Prove from the integer program of each region that it has no '
        'floats and no overflow; list what stays float. Exit status 1: not proved.'
    )
    parser.add_argument(
        'config', help='integer config (integer.py), or a float one, quantized first'
    )
    parser.add_argument(
        'checkpoint', nargs='?', help='checkpoint; default: load_from of the config'
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='size of the image that the model gets; default: of its test pipeline',
    )
    parser.add_argument('--json', help='file for the audit as JSON')
    parser.add_argument('--markdown', help='file for the report that is printed')
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
    from iptq_mm.plan import PlanError
    from iptq_mm.qtensor import UnsupportedOperationError
    from iptq_mm.statistics import NotFiniteError

    try:
        audit = audit_config(
            args.config,
            args.checkpoint,
            shape=tuple(args.shape) if args.shape else None,
            cfg_options=args.cfg_options,
        )
        report = markdown(audit, args.config)
        if args.json:
            text = json.dumps(plain(audit, args.config), indent=1)
            atomic_write(args.json, text + '\n')
        if args.markdown:
            atomic_write(args.markdown, report)
    except (
        ConfigError,
        NotFiniteError,
        OSError,
        OverflowError,
        PlanError,
        UnsupportedOperationError,
    ) as e:
        print(f'error: {e}', file=sys.stderr)
        return 2
    print(report)
    for finding in audit.findings:
        print(f'error: {finding}', file=sys.stderr)
    return 0 if audit.holds else 1


if __name__ == '__main__':
    sys.exit(main())
