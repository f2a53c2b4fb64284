"""Tiny image data sets, and runs on them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from PIL import Image

CLASSES = ('left', 'right', 'top')


def _picture(rng, height, width, label):
    """Noise, and a bright half that is the class."""
    image = rng.integers(0, 120, (height, width, 3))
    image[
        : height // 2 if label == 2 else height,
        slice(width // 2, width) if label == 1 else slice(0, width // 2),
    ] += rng.integers(60, 130, 3)
    return image.astype(np.uint8)


def make_classification_images(root: Path) -> None:
    """Write ``root/{train,val}/<class>/<n>.png``: 9 and 6 images of 32x32."""
    rng = np.random.default_rng(0)
    for split, count in (('train', 3), ('val', 2)):
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for n in range(count):
                Image.fromarray(_picture(rng, 32, 32, label)).save(folder / f'{n}.png')


def make_detection_images(root: Path) -> None:
    """Write a COCO data set: 4 images to train on, 3 to evaluate, 64x96."""
    rng = np.random.default_rng(1)
    for split, count in (('train', 4), ('val', 3)):
        folder = root / split
        folder.mkdir(parents=True)
        images, notes = [], []
        for n in range(count):
            image = rng.integers(0, 120, (64, 96, 3))
            for label in range(2):
                x, y = int(rng.integers(0, 60)), int(rng.integers(0, 30))
                w, h = int(rng.integers(16, 32)), int(rng.integers(16, 32))
                image[y : y + h, x : x + w, label] = 250
                box = [x, y, x + w, y, x + w, y + h, x, y + h]
                notes.append(
                    dict(
                        id=len(notes) + 1,
                        image_id=n,
                        category_id=label + 1,
                        bbox=[x, y, w, h],
                        area=w * h,
                        iscrowd=0,
                        segmentation=[box],
                    )
                )
            Image.fromarray(image.astype(np.uint8)).save(folder / f'{n}.png')
            images.append(dict(id=n, file_name=f'{n}.png', height=64, width=96))
        categories = [dict(id=1, name='red'), dict(id=2, name='green')]
        (root / f'{split}.json').write_text(
            json.dumps(dict(images=images, annotations=notes, categories=categories))
        )


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def same(a: Any, b: Any) -> bool:
    """Whether two trees of predictions agree to the bit; paths do not count."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(
            same(a[k], b[k]) for k in a if not k.endswith('path')
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(np.all(a == b))


def run_test(config: str, work_dir: Path, **options: Any) -> tuple[dict, list]:
    """Test a written config with a plain Runner; metrics and predictions."""
    from mmengine import load
    from mmengine.runner import Runner

    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options)
    cfg.work_dir, cfg.launcher = str(work_dir), 'none'
    # Two runs within a second would share mmengine's default scope.
    cfg.experiment_name = str(work_dir).replace('/', '_')
    kind = 'DumpDetResults' if cfg.default_scope == 'mmdet' else 'DumpResults'
    out = Path(work_dir) / 'out.pkl'
    cfg.test_evaluator = [cfg.test_evaluator, dict(type=kind, out_file_path=str(out))]
    metrics = Runner.from_cfg(cfg).test()
    return metrics, load(out)
