"""A run of several ranks is killed at random moments, and resumed.

python benchmarks/kills.py configs/demo/vit_demo_w8a8.py --kills 20 --out DIR

Further options are those of tools/quantize.py. One run is left alone. Each other one
gets ``kill -9``, all its ranks at once, at a random moment before the first one's end,
and goes on with ``--resume``. No file that was left may be half-written, and all have
to end with the same plans, integers and metrics.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

TOOL = Path(__file__).parents[1] / 'tools/quantize.py'
#: What may differ between two runs of the same settings.
_VARYING = ('seconds', 'time', 'date', 'work_dir', 'versions', 'memory', 'resumed')


def main() -> int:
    """Run the benchmark; 1 if a run ended otherwise than the one left alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--ranks', type=int, default=2)
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    args, options = parser.parse_known_args()
    command = [
        sys.executable,
        str(TOOL),
        args.config,
        '--launcher',
        'pytorch',
        *options,
    ]
    begun = time.monotonic()
    _finish(_start(command, args.out / 'whole', args.ranks))
    seconds = time.monotonic() - begun
    wanted = _result(args.out / 'whole')
    print(f'left alone: {seconds:.0f} s', flush=True)
    moments, wrong = random.Random(args.seed), 0
    for number in range(args.kills):
        folder, moment = args.out / f'kill{number}', moments.uniform(0, seconds)
        left = _killed(_start(command, folder, args.ranks), folder, moment)
        _finish(_start([*command, '--resume'], folder, args.ranks))
        same = _result(folder) == wanted
        wrong += not same
        outcome = 'the same' if same else 'ANOTHER RESULT'
        print(f'killed after {moment:.0f} s: {left} files, {outcome}', flush=True)
    print(f'{args.kills - wrong} of {args.kills} ended as the one left alone')
    return int(wrong > 0)


def _start(command: list[str], folder: Path, ranks: int) -> list[subprocess.Popen]:
    """The ranks of a run, whose work dir is the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    group = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=port, WORLD_SIZE=str(ranks))
    started = []
    for rank in range(ranks):
        own = dict(RANK=str(rank), LOCAL_RANK=str(rank), OMP_NUM_THREADS='1')
        with open(folder.parent / f'{folder.name}.rank{rank}.log', 'ab') as log:
            started.append(
                subprocess.Popen(
                    [*command, '--work-dir', str(folder)],
                    env={**os.environ, **group, **own},
                    stdout=log,
                    stderr=log,
                )
            )
    return started


def _finish(ranks: list[subprocess.Popen]) -> None:
    """Wait for a run, which has to succeed."""
    codes = [rank.wait() for rank in ranks]
    if any(codes):
        raise SystemExit(f'a run failed: {codes}; its log lies beside the work dir')


def _killed(ranks: list[subprocess.Popen], folder: Path, moment: float) -> int:
    """Kill a run after so many seconds; how many whole files it left."""
    time.sleep(moment)
    for rank in ranks:
        rank.send_signal(signal.SIGKILL)
    for rank in ranks:
        rank.wait()
    left = [path for path in folder.rglob('*') if path.is_file()]
    for path in left:
        _read(path)
    return len(left)


def _read(path: Path) -> None:
    """Read a file that a killed run left under its final name."""
    if path.suffix == '.json':
        json.loads(path.read_text(encoding='utf-8'))
    elif path.suffix == '.py':
        compile(path.read_text(encoding='utf-8'), path, 'exec')
    elif path.suffix == '.html':
        assert path.read_text(encoding='utf-8').rstrip().endswith('</html>'), path
    elif path.suffix == '.png':
        assert path.read_bytes().endswith(b'IEND\xaeB`\x82'), path
    elif path.suffix in ('.pth', '.pt'):
        torch.load(path, map_location='cpu', weights_only=False)


def _result(folder: Path) -> dict[str, Any]:
    """Plans, integers and metrics of a finished run."""
    checkpoint = torch.load(folder / 'integer.pth', weights_only=False)
    digest = hashlib.sha256()
    for name, value in sorted(checkpoint['state_dict'].items()):
        digest.update(name.encode())
        digest.update(value.contiguous().view(torch.uint8).numpy().tobytes())
    results = json.loads((folder / 'results.json').read_text(encoding='utf-8'))
    return {
        'integers': digest.hexdigest(),
        'plans': json.loads((folder / 'plan.json').read_text(encoding='utf-8')),
        'results': _settled(results),
    }


def _settled(tree: Any) -> Any:
    """A tree of results without what differs from run to run."""
    if isinstance(tree, dict):
        kept = {k: v for k, v in tree.items() if not any(w in k for w in _VARYING)}
        return {k: _settled(v) for k, v in kept.items()}
    return [_settled(v) for v in tree] if isinstance(tree, list) else tree


if __name__ == '__main__':
    sys.exit(main())
