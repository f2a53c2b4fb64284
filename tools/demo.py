"""The demo: a trained Swin Cascade Mask R-CNN, quantized and compared.

Makes the demo data, quantizes the detector of this repository with
``tools/quantize.py``'s function under several settings, prints one table and
draws pictures. Everything lands in ``work_dirs/demo``.
"""

import argparse
import json
import sys
import time
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import iptq_mm  # noqa: F401  (before mmdet)
from iptq_mm.utils.files import atomic_write
from iptq_mm.utils.markdown import table

ROOT = Path(__file__).resolve().parent.parent
#: Name and config of each setting.
SETTINGS = (
    ('W8A8', 'configs/demo/swin_cascade_demo_w8a8.py'),
    ('W8A8, whole detector', 'configs/demo/swin_cascade_demo_whole-w8a8.py'),
    ('W4A8', 'configs/demo/swin_cascade_demo_w4a8.py'),
    ('W8A8, literal I-BERT', 'configs/demo/swin_cascade_demo_literal-ibert-w8a8.py'),
    ('W8A8, literal I-ViT', 'configs/demo/swin_cascade_demo_literal-ivit-w8a8.py'),
)
DRAWN = ('W8A8', 'W4A8')
PICTURES = (1, 5, 11, 17)


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', default='work_dirs/demo')
    parser.add_argument('--data', default='data/demo')
    parser.add_argument(
        '--again', action='store_true', help='measure anew what is there already'
    )
    args = parser.parse_args()
    warnings.filterwarnings('ignore')  # mmdet's, about things that are not used here
    folder = Path(args.work_dir)
    from make_demo_data import make

    from iptq_mm.engine.evaluate.float_results import FLOAT_FILE
    from iptq_mm.engine.loading.threads import choose_threads

    threads = choose_threads()
    made = make(Path(args.data), 0, 2000, 200, threads.count)
    print(f'threads: {threads.count} ({threads.reason})')
    print(f'{args.data}: {"made" if made else "already there"}', flush=True)
    results, floats = {}, None
    for name, config in SETTINGS:
        # Results of other data are worth nothing.
        again = args.again or made
        results[name] = _setting(name, ROOT / config, folder, again, floats)
        if (folder / _slug(name) / FLOAT_FILE).exists():  # one float model for all
            floats = floats or str(folder / _slug(name))
    text = _table(results, folder)
    atomic_write(folder / 'table.md', text)
    print(f'\n{text}')
    for path in _pictures(folder, Path(args.data)):
        print(f'picture: {path}')
    return 0


def _slug(name: str) -> str:
    return name.lower().replace(', ', '_').replace(' ', '-')


def _setting(
    name: str, config: Path, folder: Path, again: bool, floats: str | None
) -> dict[str, Any]:
    """Results of one setting, measured now unless they are there.

    Args:
        name: Of the setting.
        config: Of the setting.
        folder: Of all settings.
        again: Whether to measure what is there.
        floats: Work dir of the setting whose float model was evaluated.
    """
    from iptq_mm.engine.run.pipeline import quantize_and_compare

    work_dir = folder / _slug(name)
    written = work_dir / 'results.json'
    if written.exists() and not again:
        print(f'{name}: {written} is there (--again measures anew)')
        return json.loads(written.read_text())
    print(f'{name}: quantizing and evaluating, log in {work_dir}', flush=True)
    began = time.perf_counter()
    work_dir.mkdir(parents=True, exist_ok=True)
    # pycocotools prints its tables.
    with (work_dir / 'evaluation.txt').open('w') as file, redirect_stdout(file):
        results = quantize_and_compare(
            config,
            work_dir=str(work_dir),
            cfg_options={'log_level': 'WARNING'},
            backend='native',
            float_results=floats,
        )
    print(f'{name}: {time.perf_counter() - began:.0f} s', flush=True)
    return results


def _table(results: dict[str, dict[str, Any]], folder: Path) -> str:
    """The one table, as Markdown."""
    head = ['backbone', 'box AP', 'mask AP', 'checkpoint, MB', 'its backbone, MB']
    lines = []
    first = next(iter(results.values()))
    rows = [('float', first['float'], ROOT / 'demo' / 'swin_cascade_demo.pth', first)]
    rows += [
        (name, r['integer'], folder / _slug(name) / 'integer.pth', r)
        for name, r in results.items()
    ]
    for name, metrics, checkpoint, r in rows:
        seconds = r['seconds']['float' if name == 'float' else 'integer']
        whole, backbone = (_megabytes(checkpoint, p) for p in ('', 'backbone.'))
        precisions = [100 * metrics[f'coco/{kind}_mAP'] for kind in ('bbox', 'segm')]
        figures = [f'{figure:.1f}' for figure in (*precisions, whole, backbone)]
        lines.append([name, *figures, f'{seconds:.0f}'])
    return table([*head, 'seconds'], lines) + '\n'


def _megabytes(checkpoint: Path, prefix: str) -> float:
    """Size of the tensors under a prefix; floats count 4 bytes, as in the model."""
    import torch

    state = torch.load(checkpoint, weights_only=True)['state_dict']
    sizes = [
        v.numel() * (4 if v.is_floating_point() else v.element_size())
        for k, v in state.items()
        if k.startswith(prefix)
    ]
    return sum(sizes) / 1e6


def _pictures(folder: Path, data: Path) -> list[Path]:
    """Draw float and integer detections, and the chosen functions."""
    import cv2
    from mmdet.apis import inference_detector, init_detector

    from iptq_mm.visualization import side_by_side

    written = []
    models = [('float', ROOT / SETTINGS[0][1], ROOT / 'demo/swin_cascade_demo.pth')]
    for name in DRAWN:
        work_dir = folder / _slug(name)
        models.append((name, work_dir / 'integer.py', work_dir / 'integer.pth'))
    built = [(n, init_detector(str(c), str(w), device='cpu')) for n, c, w in models]
    classes = built[0][1].dataset_meta['classes']
    files = sorted((data / 'val').glob('*.png'))
    rows = []
    for index in PICTURES:
        image = cv2.imread(str(files[index]))
        found = [(n, inference_detector(m, image).pred_instances) for n, m in built]
        rows.append(side_by_side(image[..., ::-1], found, classes))
    path = folder / 'detections.png'
    cv2.imwrite(str(path), cv2.vconcat(rows)[..., ::-1])
    written.append(path)
    for name in DRAWN:
        written.append(folder / _slug(name) / 'functions.png')
    return written


if __name__ == '__main__':
    sys.exit(main())
