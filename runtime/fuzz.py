"""Open model files that were changed at random, under sanitizers.

python runtime/fuzz.py --files 100000

Small models of the tests are the originals. runtime/fuzz/fuzz_reader.cpp says how they
are changed, and what is done with those that the library accepts.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from runtime_checks.sanitizing import ENVIRONMENT
from runtime_checks.targets import SANITIZED

ROOT = Path(__file__).resolve().parents[1]
SUPPORT = ROOT / 'tests' / 'support'
sys.path[:0] = [str(SUPPORT), str(SUPPORT / 'runtime')]


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--files', type=int, default=1000, help='how many (1000)')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    folder = SANITIZED.build()
    from runtime_cases import fuzzed, written

    with tempfile.TemporaryDirectory() as name:
        models = [
            written(made, Path(name, f'{number}.iptq'))
            for number, (_, made) in enumerate(fuzzed())
        ]
        command = [folder / 'iptq-fuzz', str(args.files), str(args.seed), *models]
        return subprocess.run(command, env={**os.environ, **ENVIRONMENT}).returncode


if __name__ == '__main__':
    sys.exit(main())
