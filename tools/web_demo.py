"""Make the page of the browser demo: its models, samples, and the runtime.

python tools/web_demo.py WORK_DIR/integer.py ... --out work_dirs/web
python -m http.server --directory work_dirs/web

The folder holds the files of demo/web, the package of runtime/web, and for each
classifier its .iptq file and pictures of its test set, each with the digest of the
integers that the native back end of Python makes of it.
"""

import argparse
import json
import shutil
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'runtime'))

from runtime_checks.comparing import digest  # noqa: E402
from runtime_checks.wasm import BuildError, WasmTarget  # noqa: E402

from iptq_mm.engine.export.formats import write_program  # noqa: E402
from iptq_mm.engine.export.image_format import image_format  # noqa: E402
from iptq_mm.engine.export.program import joined_program  # noqa: E402
from iptq_mm.engine.loading.command_line import mistakes_end_it  # noqa: E402
from iptq_mm.engine.loading.example import example_batch, test_pipeline  # noqa: E402
from iptq_mm.engine.loading.models import load_quantized  # noqa: E402
from iptq_mm.program import Program  # noqa: E402
from iptq_mm.program.backends.boundary import TORCH, quantized_inputs  # noqa: E402
from iptq_mm.program.backends.native.program import NativeProgram  # noqa: E402
from iptq_mm.utils.files import atomic_write  # noqa: E402


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'configs', nargs='+', help='integer.py that tools/quantize.py wrote'
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/web'))
    parser.add_argument('--samples', type=int, default=20, help='pictures of each (20)')
    return parser.parse_args()


def _pictures(model: Any, loader: Any, count: int) -> list[torch.Tensor]:
    """Images of the test set as bytes, (channels, height, width) in the model's order.

    Raises:
        ValueError: If the pipeline gives something else.
    """
    made = [batch['inputs'][0] for batch in islice(loader, count)]
    if any(x.dtype != torch.uint8 or x.shape != made[0].shape for x in made):
        raise ValueError('the test pipeline has to give bytes of one size')
    return made


def _samples(model: Any, program: Program, loader: Any, count: int, out: Path) -> list:
    """Writes pictures; returns their names and the digests of their outputs."""
    native = NativeProgram(program)
    made = []
    for i, picture in enumerate(_pictures(model, loader, count)):
        data = model.data_preprocessor({'inputs': [picture]}, False)['inputs']
        outputs = native.run(quantized_inputs(program, [data], TORCH))
        path = out.with_name(f'{out.name}_{i:02d}.png')
        pixels = picture.permute(1, 2, 0).numpy()  # as the loader reads them: BGR
        cv2.imwrite(str(path), np.ascontiguousarray(pixels))
        made.append({'file': path.name, 'digest': digest([x.numpy() for x in outputs])})
    return made


def _model(config: str, count: int, folder: Path) -> dict[str, Any]:
    """Writes a model's files; returns what the page has to know."""
    from mmengine.runner import Runner

    cfg, model = load_quantized(config, None)
    images = image_format(model, test_pipeline(cfg))
    program = joined_program(model, example_batch(cfg), images=images)
    name = Path(config).resolve().parent.name
    write_program(program, folder / f'{name}.iptq', None)
    loader = cfg.test_dataloader
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    built = Runner.build_dataloader(loader)
    classes = built.dataset.metainfo.get('classes')
    samples = _samples(model, program, built, count, folder / name)
    about = {'name': name, 'file': f'{name}.iptq', 'samples': samples}
    return {**about, 'classes': list(classes)} if classes else about


@mistakes_end_it(RuntimeError)
def main() -> int:
    """Run the tool."""
    args = parse_args()
    try:
        package = WasmTarget().build()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    shutil.copytree(ROOT / 'demo' / 'web', args.out, dirs_exist_ok=True)
    shutil.copytree(package, args.out / 'iptq', dirs_exist_ok=True)
    folder = args.out / 'models'
    folder.mkdir(exist_ok=True)
    models = [_model(config, args.samples, folder) for config in args.configs]
    atomic_write(folder / 'models.json', json.dumps(models, indent=1))
    print(f'python -m http.server --directory {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
