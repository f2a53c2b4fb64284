"""What many shapes of images cost a backbone: 200 images of 45 shapes, or of one.

python benchmarks/shapes.py [NETWORK] [--scale S] [--part N]
"""

from __future__ import annotations

import argparse
import copy
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.coco_shapes import SHAPES, images_by_shape, scaled
from bench.setup import prepare_process

if TYPE_CHECKING:
    import torch

#: Images of 45 shapes, or of one.
IMAGES = 200
#: Images of a turn, after which the other model has one.
TURN = 10


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Feed images of many shapes to a model, and images of one shape to '
        'its copy, in turns; print the CPU time per pixel, which other processes '
        'change little, programs that are made for new shapes included'
    )
    parser.add_argument('network', nargs='?', default='swin_t_backbone')
    parser.add_argument('--scale', type=float, default=1.0, help='of the images')
    parser.add_argument('--images', type=int, default=IMAGES)
    parser.add_argument(
        '--part', type=int, default=1, help='use every N-th shape, with its images'
    )
    parser.add_argument('--backend', default='native')
    parser.add_argument('--memory-mb', type=float, default=1024)
    parser.add_argument('--threads', type=int, default=1)
    return parser.parse_args()


@dataclass
class Fed:
    """A model that is fed images, and what that took.

    Attributes:
        model: The model.
        first: CPU seconds of first calls of a shape, and pixels of these images.
        later: The same of all other calls.
        seen: Shapes so far.
    """

    model: Callable[[torch.Tensor], object]
    first: list[float]
    later: list[float]
    seen: set

    def feed(self, x: torch.Tensor) -> None:
        """Let the model compute an image."""
        shape = x.shape
        began = time.process_time()
        self.model(x)
        taken = time.process_time() - began
        kind = self.later if shape in self.seen else self.first
        self.seen.add(shape)
        kind[0] += taken
        kind[1] += shape[-1] * shape[-2]

    @property
    def per_megapixel(self) -> float:
        """CPU seconds."""
        return (self.first[0] + self.later[0]) / (self.first[1] + self.later[1]) * 1e6


def main() -> None:
    """Run it."""
    args = parse_args()
    prepare_process(args.threads)
    import torch
    from bench.cases import Case

    from iptq_mm.program import use_backend

    models = [Case(args.network).integers]
    models.append(copy.deepcopy(models[0]))
    for model in models:
        use_backend(model, args.backend, args.memory_mb)
    backbones = [model.get_submodule('backbone') for model in models]
    many, one = (Fed(part, [0.0, 0.0], [0.0, 0.0], set()) for part in backbones)
    shapes = images_by_shape(args.images, args.part)
    usual = max(SHAPES, key=lambda shape: SHAPES[shape])
    generator = torch.Generator().manual_seed(0)

    def image(shape: tuple[int, int]) -> torch.Tensor:
        return torch.randn(1, 3, *scaled(shape, args.scale), generator=generator)

    with torch.no_grad():
        for fed in (many, one):  # what the first call of a region prepares
            fed.model(image((224, 224)))
        for start in range(0, len(shapes), TURN):
            for shape in shapes[start : start + TURN]:
                many.feed(image(shape))
            for _ in shapes[start : start + TURN]:
                one.feed(image(usual))
    kinds = len(set(shapes))
    print(
        f'{args.network}, {args.backend}, {args.threads} threads, scale {args.scale}: '
        f'{len(shapes)} images of {kinds} shapes, and of {scaled(usual, args.scale)}'
    )
    for label, fed in ((f'{kinds} shapes', many), ('one shape', one)):
        session = fed.model.iptq_region.session  # type: ignore[attr-defined]
        print(
            f'{label}: {fed.per_megapixel:.3f} s per megapixel; first calls of shapes '
            f'{fed.first[0]:.1f} s, later ones {fed.later[0]:.1f} s; '
            f'{len(session.programs)} programs keep {session.bytes / 2**20:.0f} MB'
        )
    print(f'ratio: {many.per_megapixel / one.per_megapixel:.3f}')
    rate, usual_rate = (fed.later[0] / fed.later[1] for fed in (many, one))
    extra = (many.first[0] - rate * many.first[1]) / kinds
    print(f'ratio of later calls alone: {rate / usual_rate:.3f}')
    print(f'the first call of a shape takes {extra:.2f} s more than a later one')
    if (args.part, args.images) != (1, IMAGES):
        every = [scaled(shape, args.scale) for shape in images_by_shape(IMAGES)]
        pixels = sum(height * width for height, width in every)
        expected = (rate + extra * len(set(every)) / pixels) / usual_rate
        print(f'computed for {len(every)} images of all shapes: {expected:.3f}')
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f'largest resident size of the process: {peak:.0f} MB')


if __name__ == '__main__':
    main()
