"""Measure what iptq-run needs from its start to the first result of a model.

python runtime/measure.py model.iptq

Time of the whole process, on the clock and of CPUs, its resident memory, and the sizes
of the files. The model gets random bytes.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runtime_checks.targets import TARGETS

#: Processes that are measured.
RUNS = 21


def one_process(command: list[str]) -> tuple[float, float]:
    """Milliseconds on the clock and of CPUs."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    took = time.monotonic() - start
    if status:
        raise SystemExit(f'{" ".join(command)} failed')
    return 1e3 * took, 1e3 * (used.ru_utime + used.ru_stime)


def most_resident(command: list[str]) -> int:
    """Bytes that a process has in memory at most."""
    made = subprocess.check_output([*command, '--bench', '3'], text=True)
    return int(made.split('resident at most:')[1].split()[0]) * 1024


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('model', type=Path, help='a model of images, .iptq')
    parser.add_argument('--pixels', type=int, default=3 * 224 * 224, help='of an input')
    args = parser.parse_args()
    build = TARGETS['host'].build()
    with tempfile.NamedTemporaryFile() as image:
        image.write(os.urandom(args.pixels))
        image.flush()
        command = [str(build / 'iptq-run'), str(args.model), image.name]
        clock, cpu = zip(*(one_process(command) for _ in range(RUNS)), strict=True)
        most = most_resident(command)
    size = args.model.stat().st_size
    print(f'{RUNS} processes: median {statistics.median(clock):.1f} ms, ', end='')
    print(f'least {min(clock):.1f} ms; of CPUs {statistics.median(cpu):.1f} ms')
    print(f'resident {most / 1e6:.1f} MB, {(most - size) / 1e6:.1f} MB beyond the file')
    library = (build / 'libiptq.so').resolve().stat().st_size
    print(f'file {size / 1e6:.2f} MB, libiptq.so {library / 1e3:.0f} kB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
