"""Print how many bytes the weights of integer checkpoints take, packed and in bytes.

python benchmarks/checkpoint_bytes.py WORK_DIR/integer.pth [...]

*Weights* are those of few bits; *regions* are all integers of the quantized regions,
with biases, norms and embeddings, but without the plan. A weight of 8 bits takes one
byte.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from iptq_mm.plan.packed_state import PLAN_KEY, SUFFIX, unpacked
from iptq_mm.utils.markdown import table


class Sizes(NamedTuple):
    """Bytes in a checkpoint.

    Attributes:
        weights: Of the packed weights.
        weights_in_bytes: Of the same weights, one byte each.
        regions: Of all integers of the regions.
        regions_in_bytes: The same, weights one byte each.
    """

    weights: int
    weights_in_bytes: int
    regions: int
    regions_in_bytes: int


def sizes(path: Path) -> Sizes:
    """The sizes of a checkpoint that ``tools/quantize.py`` wrote."""
    packed = torch.load(path, map_location='cpu', weights_only=True)['state_dict']
    whole = unpacked(packed)
    plans = [key for key in whole if key.endswith(f'.{PLAN_KEY}')]
    prefixes = tuple(key.removesuffix(PLAN_KEY) for key in plans)
    names = [n.removesuffix(SUFFIX) for n in packed if n.endswith(SUFFIX)]
    return Sizes(
        sum(_bytes(packed[name + SUFFIX]) for name in names),
        sum(_bytes(whole[name]) for name in names),
        *(
            sum(
                _bytes(value)
                for name, value in state.items()
                if name.startswith(prefixes) and name not in plans
            )
            for state in (packed, whole)
        ),
    )


def _bytes(value: Tensor) -> int:
    return value.numel() * value.element_size()


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoints', nargs='+', type=Path)
    rows = []
    for path in parser.parse_args().checkpoints:
        found = sizes(path)
        share = found.weights / max(found.weights_in_bytes, 1)
        whole = found.regions / found.regions_in_bytes
        numbers = (found.weights, share, found.regions, whole)
        shown = [f'{n:.3f}' if isinstance(n, float) else f'{n}' for n in numbers]
        rows.append([str(path), *shown])
    head = ['checkpoint', 'weights, bytes', 'of 8 bits', 'regions, bytes', 'of 8 bits']
    print(table(head, rows))
    return 0


if __name__ == '__main__':
    sys.exit(main())
