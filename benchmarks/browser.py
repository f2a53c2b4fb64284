"""DeiT-Tiny in node and Chromium: the runtime beside onnxruntime-web, on one thread.

npm install --prefix work_dirs/npm onnxruntime-web
python benchmarks/browser.py model.iptq --npm work_dirs/npm

``model.iptq`` comes from tools/export.py. All contenders run in turn in one process;
ratios are those of a round, so that a busy machine disturbs both sides alike. Times in
node are those of CPUs, which others on the machine do not count in.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench.setup import prepare_process

ROOT = Path(__file__).resolve().parent.parent
#: Run in the page.
SCRIPT = """async ({rounds}) => {
  const {available, load} = await import('/iptq/index.js');
  const ort = await import('/ort/ort.wasm.min.mjs');
  const {beside} = await import('/beside.js');
  ort.env.wasm.wasmPaths = '/ort/';
  const bytes = async (name) =>
    new Uint8Array(await (await fetch(name)).arrayBuffer());
  const files = {
    iptq: await bytes('/model.iptq'), floats: await bytes('/floats.onnx'),
    int8: await bytes('/int8.onnx'),
  };
  return beside({ort, load, variants: available(), files, rounds});
}"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('model', type=Path, help='DeiT-Tiny, .iptq')
    parser.add_argument('--npm', type=Path, required=True, help='has node_modules')
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--peers', type=Path, help='where the ONNX files are kept')
    return parser.parse_args()


def peers(folder: Path) -> None:
    """Writes the float model and ONNX Runtime's own 8 bits, unless they are there."""
    from bench.cases import Case
    from bench.contenders.onnxruntime import export, quantize

    case = Case('deit_t:b1')
    for name, make in (('floats.onnx', export), ('int8.onnx', quantize)):
        if not Path(folder, name).is_file():
            Path(folder, name).write_bytes(make(case))


def in_node(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Times in node."""
    script = ROOT / 'benchmarks' / 'web' / 'node.mjs'
    command = ['node', str(script), str(folder), str(rounds)]
    return json.loads(subprocess.check_output(command, text=True))


def in_chromium(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Times in headless Chromium."""
    sys.path.insert(0, str(ROOT / 'tests' / 'support' / 'runtime'))
    from in_chromium import page_of

    with page_of(folder) as (page, address, _):
        page.goto(f'{address}/iptq/')
        return page.evaluate(SCRIPT, {'rounds': rounds})


def table(where: str, times: dict[str, list[float]]) -> None:
    """Prints medians, and medians of the ratios to our best variant."""
    ours = next(iter(times))
    print(f'{where}, {len(times[ours])} rounds in turn, one thread')
    for name, found in times.items():
        ratios = [a / b for a, b in zip(found, times[ours], strict=True)]
        print(f'  {name}: {median(found):.1f} ms, {median(ratios):.2f} times {ours}')


def main() -> int:
    """Run it."""
    args = parse_args()
    prepare_process(1)
    with tempfile.TemporaryDirectory() as name:
        folder = args.peers or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        peers(folder)
        shutil.copy(args.model, folder / 'model.iptq')
        shutil.copy(ROOT / 'benchmarks' / 'web' / 'beside.js', folder)
        shutil.copytree(ROOT / 'runtime' / 'web', folder / 'iptq', dirs_exist_ok=True)
        ort = args.npm / 'node_modules' / 'onnxruntime-web' / 'dist'
        shutil.copytree(ort, folder / 'ort', dirs_exist_ok=True)
        table('node', in_node(folder, args.rounds))
        table('Chromium', in_chromium(folder, args.rounds))
    return 0


if __name__ == '__main__':
    sys.exit(main())
