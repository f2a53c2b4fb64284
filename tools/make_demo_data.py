"""Makes the demo data: textured shapes in COCO format and crops of them.

Layout of the folder::

    demo.json                        what the data were made from
    annotations/{train,val}.json     boxes and masks, COCO format
    {train,val}/NNNNN.png            images
    crops/{train,val}/<class>/*.png  one object each, for classifiers
"""

import argparse
import json
import os
import shutil
import tempfile
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import cv2

from iptq_mm.datasets.demo_shapes import (
    CLASSES,
    IMAGE_SIZE,
    VERSION,
    annotate,
    crop_object,
    render_scene,
    scene_rng,
)
from iptq_mm.utils.threads import sensible_threads


def write_scene(root: Path, split: str, seed: int, index: int) -> list[dict]:
    """Writes one image and its crops, and returns its annotations.

    Args:
        root: Folder of the data.
        split: ``'train'`` or ``'val'``.
        seed: Seed of the data.
        index: Number of the image in its split.
    """
    scene = render_scene(seed, split, index)
    _write(root / split / f'{index:05d}.png', scene.image)
    for number, label in enumerate(scene.labels):
        folder = root / 'crops' / split / CLASSES[label]
        # The objects of a detector come in many sizes; so do those of the crops.
        zoom = float(scene_rng(seed, split, index).spawn(1)[0].uniform(1.1, 1.6))
        crop = crop_object(scene, number, zoom)
        _write(folder / f'{index:05d}_{number}.png', crop)
    return annotate(scene, index + 1, 1)


def write_split(root: Path, split: str, seed: int, count: int, processes: int) -> None:
    """Writes the images, crops and annotations of one split.

    Args:
        root: Folder of the data.
        split: ``'train'`` or ``'val'``.
        seed: Seed of the data.
        count: Number of images.
        processes: Number of processes; the data do not depend on it.
    """
    (root / split).mkdir(parents=True)
    (root / 'annotations').mkdir(exist_ok=True)
    for name in CLASSES:
        (root / 'crops' / split / name).mkdir(parents=True)
    cv2.setNumThreads(1)
    work = partial(write_scene, root, split, seed)
    with Pool(processes) as pool:
        found = pool.map(work, range(count), chunksize=16)
    annotations = [note for notes in found for note in notes]
    for number, note in enumerate(annotations):
        note['id'] = number + 1
    side = {'width': IMAGE_SIZE, 'height': IMAGE_SIZE}
    content = {
        'info': {'description': 'iptq_mm demo shapes', 'version': str(VERSION)},
        'images': [
            {'id': index + 1, 'file_name': f'{index:05d}.png', **side}
            for index in range(count)
        ],
        'annotations': annotations,
        'categories': [{'id': i + 1, 'name': name} for i, name in enumerate(CLASSES)],
    }
    (root / 'annotations' / f'{split}.json').write_text(json.dumps(content))


def _write(path: Path, image) -> None:
    # Noise hardly compresses: a higher level only costs time.
    if not cv2.imwrite(str(path), image, [cv2.IMWRITE_PNG_COMPRESSION, 1]):
        raise OSError(f'could not write {path}')


def make(out: Path, seed: int, train: int, val: int, processes: int = 1) -> bool:
    """Makes the data unless they are there already.

    Args:
        out: Folder of the data; one made from other parameters is replaced.
        seed: Seed of the data.
        train: Number of training images.
        val: Number of validation images.
        processes: Number of processes that render.

    Returns:
        Whether anything was made.
    """
    wanted = {'version': VERSION, 'seed': seed, 'train': train, 'val': val}
    stamp = out / 'demo.json'
    if stamp.is_file() and json.loads(stamp.read_text()) == wanted:
        return False
    if out.exists() and not stamp.is_file() and any(out.iterdir()):
        raise FileExistsError(f'{out} holds something other than demo data')
    out.parent.mkdir(parents=True, exist_ok=True)
    # Built beside and renamed, so that nobody ever sees half of the data.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f'.{out.name}-') as beside:
        fresh = Path(beside) / 'fresh'
        write_split(fresh, 'train', seed, train, processes)
        write_split(fresh, 'val', seed, val, processes)
        (fresh / 'demo.json').write_text(json.dumps(wanted))
        if out.exists():
            os.replace(out, Path(beside) / 'stale')
        shutil.move(fresh, out)
    return True


def main() -> None:
    """Parses the command line and makes the data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('data/demo'))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--train', type=int, default=2000, help='training images')
    parser.add_argument('--val', type=int, default=200, help='validation images')
    parser.add_argument(
        '--processes', type=int, help='default: as many as there are cores to spare'
    )
    args = parser.parse_args()
    processes = args.processes or sensible_threads().count
    made = make(args.out, args.seed, args.train, args.val, processes)
    print(f'{args.out}: {"made" if made else "already there"}')


if __name__ == '__main__':
    main()
