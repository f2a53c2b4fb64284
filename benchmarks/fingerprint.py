"""Print a fingerprint of quantized models: what must not change when code does.

python benchmarks/fingerprint.py WORK_DIR [WORK_DIR ...] --out before.json

Run it in two versions of the repository on the work dirs that each of them made with
``tools/quantize.py``: where both files are equal, so are plans, integers, figures and
what the exported programs compute. A version also takes the work dirs of another.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iptq_mm.plan.packed_state import unpacked
from iptq_mm.program import load_program, run

#: Results that differ from run to run, or between versions.
VOLATILE = ('seconds', 'versions')
#: What ``tools/export.py`` and ``tools/audit.py --json`` wrote beside the model, if
#: they did.
PROGRAM, AUDIT = 'integer.program', 'audit.json'


def fingerprint(folder: Path) -> dict[str, Any]:
    """The fingerprint of a work dir.

    Args:
        folder: With ``plan.json``, ``integer.pth`` and ``results.json``, as
            ``tools/quantize.py`` leaves it.

    Returns:
        Hashes of the plan, the tensors of the checkpoint and the results; where there
        is an exported program or an audit, of the program's outputs for random integers
        and of the audit.

    Raises:
        OSError: If a file is missing.
        ValueError: If a file is damaged.
    """
    state = torch.load(folder / 'integer.pth', weights_only=True, map_location='cpu')
    state = unpacked(state.get('state_dict', state))
    tensors = {k: _of_tensor(v) for k, v in state.items() if isinstance(v, Tensor)}
    found = {
        'plan': _of_json(folder / 'plan.json'),
        'tensors': len(tensors),
        'checkpoint': _hash(json.dumps(tensors, sort_keys=True).encode()),
        'results': _of_json(folder / 'results.json'),
    }
    if (folder / PROGRAM).exists():
        program = load_program(folder / PROGRAM)
        found['nodes'] = len(program.nodes)
        random = torch.Generator().manual_seed(0)
        values = [program.values[port.value] for port in program.inputs]
        inputs = [
            torch.randint(v.low, v.high + 1, v.shape, generator=random).to(v.dtype)
            for v in values
        ]
        found['outputs'] = [_of_tensor(output) for output in run(program, inputs)]
    if (folder / AUDIT).exists():  # its name is a path
        found['audit'] = _of_json(folder / AUDIT, (*VOLATILE, 'name'))
    return found


def _of_tensor(x: Tensor) -> str:
    return _hash(
        f'{x.dtype}{tuple(x.shape)}'.encode() + x.contiguous().numpy().tobytes()
    )


def _of_json(path: Path, volatile: Sequence[str] = VOLATILE) -> str:
    kept = _without(json.loads(path.read_text(encoding='utf-8')), volatile)
    return _hash(json.dumps(kept, sort_keys=True).encode())


def _without(value: Any, volatile: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_without(part, volatile) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without(part, volatile)
        for key, part in value.items()
        if key not in volatile
    }


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def main() -> int:
    """Run the tool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folders', nargs='+', type=Path, metavar='WORK_DIR')
    parser.add_argument('--out', type=Path, help='JSON file; default: print it')
    args = parser.parse_args()
    try:
        found = {str(folder): fingerprint(folder) for folder in args.folders}
    except (OSError, ValueError) as error:
        print(f'error: {error}: give work dirs of tools/quantize.py', file=sys.stderr)
        return 1
    text = json.dumps(found, indent=1)
    if args.out is None:
        print(text)
    else:
        args.out.write_text(f'{text}\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
