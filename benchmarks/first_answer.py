"""How soon after the import of torch a saved model answers its first image.

python benchmarks/first_answer.py [CASE] [--backends NAME ...]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench.setup import prepare_process

SCRIPT = Path(__file__).resolve().parent / 'bench' / 'answer.py'


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Fresh processes load the programs of a model and answer an image'
    )
    parser.add_argument('case', nargs='?', default='deit_t', help='as for run.py')
    parser.add_argument('--backends', nargs='+', default=['native', 'reference'])
    parser.add_argument('--processes', type=int, default=5, help='of each back end')
    parser.add_argument('--threads', type=int, default=2)
    return parser.parse_args()


def main() -> int:
    """Run it."""
    args = parse_args()
    prepare_process(args.threads)
    import torch
    from bench.cases import Case
    from bench.programs import save_programs

    case = Case(args.case)
    with tempfile.TemporaryDirectory() as folder:
        save_programs(case, Path(folder))
        size = sum(f.stat().st_size for f in Path(folder).glob('*.program'))
        print(f'{case.name}, {args.threads} threads; programs of {size / 2**20:.1f} MB')
        for backend in args.backends:
            command = [sys.executable, SCRIPT, folder, backend, str(args.threads)]
            runs = []
            for _ in range(args.processes):
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    print(f'error: {done.stderr.strip()[-2000:]}', file=sys.stderr)
                    return 1
                runs.append(json.loads(done.stdout.splitlines()[-1]))
                answer = torch.load(f'{folder}/answer.pt')
                if not all(map(torch.equal, case.integer_outputs, answer)):
                    print(f'error: {backend} answers wrongly', file=sys.stderr)
                    return 1
            print(_table(backend, runs))
    return 0


def _table(backend: str, runs: list[dict[str, float]]) -> str:
    """Median seconds of each part, and of all up to the first answer."""
    until = [sum(v for k, v in run.items() if k != 'second answer') for run in runs]
    lines = [f'\n{backend}: {median(until):.3f} s after the import of torch']
    lines[0] += f' ({min(until):.3f} to {max(until):.3f} in {len(runs)} processes)'
    lines += [f'  {median(run[k] for run in runs):7.3f} s  {k}' for k in runs[0]]
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(main())
