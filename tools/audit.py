"""Prove that a quantized model runs on integers only and cannot overflow.

python tools/audit.py CONFIG [CHECKPOINT]
"""

import argparse
import json
import sys

from iptq_mm.engine.audit.config import audit_config
from iptq_mm.engine.loading.command_line import (
    add_image_shape,
    add_model,
    mistakes_end_it,
)
from iptq_mm.program.audit import markdown, plain
from iptq_mm.utils.files import atomic_write


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Prove from the integer program of each region that it has no '
        'floats and no overflow; list what stays float. Exit status 1: not proved.'
    )
    add_model(
        parser,
        'integer config (integer.py), or a float one, quantized first',
        'checkpoint',
    )
    add_image_shape(parser)
    parser.add_argument('--json', help='file for the audit as JSON')
    parser.add_argument('--markdown', help='file for the report that is printed')
    return parser.parse_args()


@mistakes_end_it(status=2)
def main() -> int:
    """Run the tool."""
    args = parse_args()
    audit = audit_config(
        args.config,
        args.checkpoint,
        shape=args.shape and tuple(args.shape),
        cfg_options=args.cfg_options,
    )
    report = markdown(audit, args.config)
    if args.json:
        text = json.dumps(plain(audit, args.config), indent=1)
        atomic_write(args.json, text + '\n')
    if args.markdown:
        atomic_write(args.markdown, report)
    print(report)
    for finding in audit.findings:
        print(f'error: {finding}', file=sys.stderr)
    return 0 if audit.holds else 1


if __name__ == '__main__':
    sys.exit(main())
