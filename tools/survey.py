"""Quantize small models with random weights, and say what stands in the way.

python tools/survey.py [NAME ...] [--timeout 300] [--out survey.md]

Each model runs in a process of its own. The table has, for each: the dB of the integers
against the float model, and those expected of the same linear layers with float
functions; whether ``native`` gives the same integers; the nodes that it leaves to the
reference; or the first thing that has no rule.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import init_default_scope
from survey_models import MMPRETRAIN
from torch import Tensor, nn

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.modes import bound_region
from iptq_mm.program import use_backend
from iptq_mm.utils.markdown import table
from iptq_mm.utils.trees import tree_leaves

#: The functions nearest to float: what is missing is not theirs.
CANDIDATES = {
    'gelu': [{'type': 'interpolated_gelu'}],
    'softmax': [{'type': 'table_softmax'}],
    'layer_norm': [{'type': 'ibert_layernorm'}],
    'unary': [{'type': 'interpolated_unary'}],
}
HEADER = [
    'model',
    'dB',
    'expected',
    'native',
    'fallbacks',
    'seconds',
    'what is missing',
]


class Model(nn.Module):
    """The little that quantization asks of a model."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def test_step(self, images: Tensor) -> Any:
        """What the backbone returns."""
        return self.backbone(images)


def built(name: str) -> tuple[Model, Tensor]:
    """A model with random weights that keep attention from being flat, and images."""
    from mmpretrain.registry import MODELS

    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    config, shape = MMPRETRAIN[name]
    backbone = MODELS.build(config)
    for parameter in backbone.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    backbone.eval()  # some return None, and some derive from parameters
    images = torch.nn.functional.interpolate(
        torch.randn(*shape[:2], 7, 7), shape[2:], mode='bicubic'
    )
    return Model(backbone), images + 0.3 * torch.randn(shape)


def decibels(reals: list[Tensor], integers: list[Tensor]) -> float:
    """Signal over error of the worst output."""
    found = []
    for real, made in zip(reals, integers, strict=True):
        error = (real - made).double().square().sum()
        found.append(10 * torch.log10(real.double().square().sum() / error))
    return float(min(found))


def surveyed(name: str) -> dict[str, str]:
    """The row of a model."""
    row = dict.fromkeys(HEADER, '')
    model, images = built(name)
    with torch.no_grad():
        expected = tree_leaves(model.test_step(images))
        config = QuantizationConfig.from_dict(dict(regions=['backbone']), CANDIDATES)
        config.on_mismatch = 'warn'
        try:
            checks = quantize_model(model, config, [images]).checks
            made = tree_leaves(model.test_step(images))
        except Exception as error:
            row['what is missing'] = f'{type(error).__name__}: {error}'.split('\n')[0]
            return row
        row['dB'] = f'{decibels(expected, made):.1f}'
        row['expected'] = f'{checks["backbone"]["expected_db"]:.1f}'
        try:
            use_backend(model, 'native')
            fast = tree_leaves(model.test_step(images))
            same = all(torch.equal(a, b) for a, b in zip(made, fast, strict=True))
            row['native'] = 'equal' if same else 'DIFFERENT'
            session = bound_region(model.backbone).session
            made_of = session.programs[-1].executable
            left = dict(getattr(made_of, 'fallbacks', {'no native library': 1}))
            row['fallbacks'] = '; '.join(f'{n}x {why}' for why, n in left.items())
        except Exception as error:
            row['native'] = 'error'
            row['what is missing'] = f'{type(error).__name__}: {error}'.split('\n')[0]
    return row


def _child(name: str, pipe: Any) -> None:
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    try:
        row = surveyed(name)
    except Exception as error:  # of the float model itself
        row = {**dict.fromkeys(HEADER, ''), 'what is missing': f'the model: {error}'}
    pipe.send(row)


def survey(names: list[str], timeout: float) -> Iterator[dict[str, str]]:
    """The rows, model by model."""
    # A fork has the libraries already: importing them takes longer than some models.
    processes = multiprocessing.get_context('fork')
    for name in names:
        started = time.perf_counter()
        ours, theirs = processes.Pipe(duplex=False)
        child = processes.Process(target=_child, args=(name, theirs))
        child.start()
        theirs.close()
        try:
            row = ours.recv() if ours.poll(timeout) else None
            why = f'took longer than {timeout:g} s'
        except EOFError:
            row, why = None, 'the process died'
        child.kill()
        child.join()
        row = row or {**dict.fromkeys(HEADER, ''), 'what is missing': why}
        seconds = f'{time.perf_counter() - started:.0f}'
        yield {**row, 'model': name, 'seconds': seconds}


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(description='Which models can be quantized')
    parser.add_argument('names', nargs='*', help='regular expressions; default: all')
    parser.add_argument('--timeout', type=float, default=300, help='s for each model')
    parser.add_argument('--out', type=Path, help='Markdown file to write')
    return parser.parse_args()


def main() -> int:
    """Run the tool."""
    args = parse_args()
    # Here and not above: iptq_mm has to be imported first; and forks shall have it.
    import mmpretrain.models  # noqa: F401

    pattern = '|'.join(args.names) or '.'
    rows = []
    for row in survey([n for n in MMPRETRAIN if re.search(pattern, n)], args.timeout):
        rows.append([row[key] for key in HEADER])
        print(' | '.join(rows[-1]), flush=True)
    text = table(HEADER, rows)
    print(text)
    if args.out:
        args.out.write_text(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
