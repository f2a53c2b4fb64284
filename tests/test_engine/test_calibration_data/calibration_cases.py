"""What tests of the calibration images share."""

import struct
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from PIL import Image

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine.calibration_data import build_calibration_dataloader

CLASSES = ('left', 'right', 'top')
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


def settings(cfg, **calibration):
    """The quantization of a config with other calibration settings."""
    calibration = {**cfg.quantization.calibration, **calibration}
    quantization = {**cfg.quantization, 'calibration': calibration}
    return QuantizationConfig.from_dict(quantization, cfg.candidates)


def loader(cfg, seed=0, **calibration):
    """The calibration loader of a config."""
    return build_calibration_dataloader(cfg, settings(cfg, **calibration), seed)


def paths(batches):
    """The paths of all images of a loader, in order."""
    return [sample.img_path for batch in batches for sample in batch['data_samples']]


def values(batches):
    """The first value of each image of a loader."""
    return [int(image.flatten()[0]) for batch in batches for image in batch['inputs']]


def drawn(every, count, seed=0):
    """The images that a seed chooses from a plain data set."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(every), generator=generator).tolist()
    return [every[i] for i in sorted(order[:count])]


def files(root, split):
    """The images of a split, as a data set of folders lists them."""
    return sorted(map(str, (Path(root) / split).glob('*/*.png')))


def pictures(root, low=0, high=256, count=4, seed=0):
    """Write ``root/<class>/<n>.png`` of noise from ``low`` to below ``high``."""
    rng = np.random.default_rng(seed)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for n in range(count):
            noise = rng.integers(low, high, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(noise).save(root / name / f'{n}.png')
    return root


def mnist(root, train=10, test=200):
    """Write an MNIST of 20 images to train on and 10 to test, each of one value."""
    root.mkdir()
    rng = np.random.default_rng(0)
    for stem, value, n in (('train', train, 20), ('t10k', test, 10)):
        images = rng.integers(value, value + 3, (n, 28, 28))
        for kind, array in (('images', images), ('labels', np.arange(n) % 3)):
            head = struct.pack('>I', 0x0800 + array.ndim)
            head += b''.join(struct.pack('>I', size) for size in array.shape)
            name = f'{stem}-{kind}-idx{array.ndim}-ubyte'
            (root / name).write_bytes(head + array.astype(np.uint8).tobytes())
    return str(root)


class TableDataset(BaseDataset):
    """A data set whose images are named in a table, an argument of its own."""

    METAINFO = dict(classes=CLASSES)

    def __init__(self, table, **kwargs):
        self.table = table
        super().__init__(**kwargs)

    def load_data_list(self):
        rows = (line.split(',') for line in Path(self.table).read_text().split())
        return [dict(img_path=path, gt_label=int(label)) for path, label in rows]


class OwnPipelineDataset(TableDataset):
    """A data set that brings its pipeline along, another one for training."""

    def __init__(self, table, test_mode=False):
        resized = [PIPELINE[0], dict(type='Resize', scale=8), PIPELINE[1]]
        pipeline = PIPELINE if test_mode else resized
        super().__init__(table, test_mode=test_mode, pipeline=pipeline)


class ReadyDataset(torch.utils.data.Dataset):
    """A data set of another library: ready samples, no paths, no pipeline."""

    def __init__(self, count=12, value=1):
        self.count, self.value = count, value

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        image = torch.full((3, 32, 32), self.value, dtype=torch.uint8)
        image[0, 0, 0] = index
        return dict(inputs=image, data_samples=None)


def table(path, images):
    """Write a table of images; its path."""
    lines = (f'{image},{CLASSES.index(Path(image).parent.name)}' for image in images)
    path.write_text('\n'.join(lines))
    return str(path)
