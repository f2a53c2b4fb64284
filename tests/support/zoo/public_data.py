"""Tiny data sets in the folders of ImageNet and COCO."""

import json
import shutil

import tiny_runs


def write(root):
    """Make ``root/imagenet`` and ``root/coco``, with all splits."""
    from mmdet.datasets import CocoDataset

    imagenet, coco = root / 'imagenet', root / 'coco'
    tiny_runs.make_classification_images(imagenet)
    (imagenet / 'meta').mkdir()
    for split in ('train', 'val'):
        files = sorted((imagenet / split).rglob('*.png'))
        lines = [
            f'{path.relative_to(imagenet / split)} '
            f'{tiny_runs.CLASSES.index(path.parent.name)}\n'
            for path in files
        ]
        (imagenet / 'meta' / f'{split}.txt').write_text(''.join(lines))
    tiny_runs.make_detection_images(coco)
    (coco / 'annotations').mkdir()
    names = CocoDataset.METAINFO['classes']
    categories = [dict(id=n, name=name) for n, name in enumerate(names, 1)]
    for split in ('train', 'val'):
        content = json.loads((coco / f'{split}.json').read_text())
        path = coco / f'annotations/instances_{split}2017.json'
        path.write_text(json.dumps({**content, 'categories': categories}))
        (coco / split).rename(coco / f'{split}2017')
    add_test_sets(imagenet, coco)


def add_test_sets(imagenet, coco):
    """Images without labels, as ImageNet and COCO test-dev have them."""
    (imagenet / 'test').mkdir()
    for n, path in enumerate(sorted((imagenet / 'val').rglob('*.png')), 1):
        shutil.copy(path, imagenet / f'test/ILSVRC2012_test_{n:08}.png')
    shutil.copytree(coco / 'val2017', coco / 'test2017')
    known = json.loads((coco / 'annotations/instances_val2017.json').read_text())
    del known['annotations']
    path = coco / 'annotations/image_info_test-dev2017.json'
    path.write_text(json.dumps(known))
