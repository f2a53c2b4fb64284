"""Quantize small models with random weights, and say what stands in the way.

python tools/survey.py [NAME ...] [--out docs/results/models.md] [--again]

Each model runs in a process of its own, and its findings are kept as a JSON file in
``--work-dir``: the same command goes on where it stopped. The table has, for each: the
dB of the integers against the float model, and those of the same linear layers with
float functions; whether ``native`` gives the same integers; the nodes that it leaves to
the reference; how much faster it is than the float model; or the first thing that has
no rule.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import init_default_scope
from survey_detectors import SMALLER, batch, settings_of, small_detector
from survey_models import MMPRETRAIN
from survey_table import page
from survey_zoo import REGIONS, ZOO, Made, smooth_images, with_spread_weights
from torch import Tensor, nn

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine.any_torch.calling import call_model
from iptq_mm.engine.any_torch.layers import with_linear_layers
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.modes import regions_in
from iptq_mm.program import use_backend
from iptq_mm.utils.files import atomic_write
from iptq_mm.utils.trees import tree_leaves

#: The functions nearest to float: what is missing is not theirs.
CANDIDATES = {
    'gelu': [{'type': 'interpolated_gelu'}],
    'softmax': [{'type': 'table_softmax'}],
    'layer_norm': [{'type': 'ibert_layernorm'}],
    'unary': [{'type': 'interpolated_unary'}],
}
#: Runs of which the fastest counts.
_RUNS = 7


class Model(nn.Module):
    """The little that quantization asks of a model."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def test_step(self, batch: Any) -> Any:
        """What the backbone returns."""
        return call_model(self.backbone, batch)


def made_by_mmpretrain(name: str) -> Made:
    """A backbone with random weights, and images."""
    from mmpretrain.registry import MODELS

    init_default_scope('mmpretrain')
    config, shape = MMPRETRAIN[name]
    return with_spread_weights(MODELS.build(config)), smooth_images(*shape)


def made_by_mmdet(name: str) -> Made:
    """A detector with random weights, and images."""
    return small_detector(name), batch()


#: By library: the names of the models, and what makes one.
LIBRARIES: dict[str, tuple[Sequence[str], Callable[[str], Made]]] = {
    'mmpretrain': (list(MMPRETRAIN), made_by_mmpretrain),
    'mmdet': (list(SMALLER), made_by_mmdet),
    **{library: (list(names), make) for library, (names, make) in ZOO.items()},
}


def decibels(reals: list[Tensor], integers: list[Tensor]) -> float:
    """Signal over error of the worst output."""
    found = []
    for real, made in zip(reals, integers, strict=True):
        error = (real - made).double().square().sum()
        found.append(10 * torch.log10(real.double().square().sum() / error))
    return float(min(found))


def surveyed(name: str) -> dict[str, Any]:
    """The findings about a model.

    Args:
        name: ``library/model``.
    """
    library, _, model_name = name.partition('/')
    torch.manual_seed(0)
    made, data = LIBRARIES[library][1](model_name)
    if library == 'mmdet':
        model, config = made, settings_of(model_name, CANDIDATES)
    else:
        model = Model(with_linear_layers(made))
        parts = [f'backbone.{part}' for part in REGIONS.get(model_name, ())]
        given = dict(regions=parts or ['backbone'])
        config = QuantizationConfig.from_dict(given, CANDIDATES)
    config.on_mismatch = 'warn'
    row: dict[str, Any] = {}
    with torch.no_grad():
        expected = _floats(model.test_step(data))
        row['float ms'] = _milliseconds(model, data)
        try:
            checks = quantize_model(model, config, [data]).checks
            integers = _floats(model.test_step(data))
        except Exception as error:
            return {**row, 'missing': f'{type(error).__name__}: {error}'.split('\n')[0]}
        worst = min(checks.values(), key=lambda c: c['integer_db'] - c['expected_db'])
        row['compared dB'] = worst['integer_db']
        row['expected dB'] = worst['expected_db']
        # A detection is none that floats have: of detectors, regions are compared.
        row['dB'] = worst['integer_db']
        if library != 'mmdet':
            row['dB'] = decibels(expected, integers)
        try:
            row |= _native(model, data, integers)
        except Exception as error:
            row['missing'] = f'native: {type(error).__name__}: {error}'.split('\n')[0]
    return row


def _native(model: nn.Module, batch: Any, integers: list[Tensor]) -> dict[str, Any]:
    use_backend(model, 'native')
    fast = _floats(model.test_step(batch))
    fallbacks: dict[str, int] = {}
    for region in regions_in(model).values():
        for program in region.session.programs:
            left = getattr(program.executable, 'fallbacks', {'no native library': 1})
            fallbacks |= left
    return {
        'equal': all(torch.equal(a, b) for a, b in zip(integers, fast, strict=True)),
        'fallbacks': fallbacks,
        'native ms': _milliseconds(model, batch),
    }


def _floats(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, list) and hasattr(outputs[0], 'pred_instances'):
        outputs = [[x.pred_instances.scores, x.pred_instances.bboxes] for x in outputs]
    leaves = [x for x in tree_leaves(outputs) if isinstance(x, Tensor)]
    return [x for x in leaves if x.is_floating_point()]


def _milliseconds(model: nn.Module, batch: Any) -> float:
    """Of the fastest of a few runs."""
    times = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        model.test_step(batch)
        times.append(1000 * (time.perf_counter() - began))
    return min(times)


def _child(name: str, pipe: Any) -> None:
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    try:
        row = surveyed(name)
    except Exception as error:  # of the float model itself
        row = {'missing': f'the model: {type(error).__name__}: {error}'.split('\n')[0]}
    pipe.send(row)


def survey(names: list[str], timeout: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and findings, model by model."""
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
        found = row or {'missing': why}
        yield name, {**found, 'seconds': time.perf_counter() - started}


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(description='Which models can be quantized')
    parser.add_argument('names', nargs='*', help='regular expressions; default: all')
    parser.add_argument('--timeout', type=float, default=300, help='s for each model')
    parser.add_argument('--out', type=Path, help='Markdown file to write')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/survey'))
    parser.add_argument('--again', action='store_true', help='known models, too')
    return parser.parse_args()


def main() -> int:
    """Run the tool."""
    args = parse_args()
    every = [f'{lib}/{name}' for lib, (names, _) in LIBRARIES.items() for name in names]
    chosen = [n for n in every if re.search('|'.join(args.names) or '.', n)]
    files = {n: args.work_dir / f'{n.replace("/", "_")}.json' for n in every}
    args.work_dir.mkdir(parents=True, exist_ok=True)
    wanted = [n for n in chosen if args.again or not files[n].exists()]
    _import({name.partition('/')[0] for name in wanted})
    for name, row in survey(wanted, args.timeout):
        atomic_write(files[name], json.dumps(row, indent=1))
        shown = {k: round(v, 1) if isinstance(v, float) else v for k, v in row.items()}
        print(name, shown, flush=True)
    rows = {n: json.loads(f.read_text()) for n, f in files.items() if f.exists()}
    text = page(rows)
    print(text)
    if args.out:
        atomic_write(args.out, text)
    return 0


def _import(libraries: set[str]) -> None:
    """Import what models need, once: forks shall have it."""
    # Here and not above: iptq_mm has to be imported first.
    if 'mmpretrain' in libraries:
        # Its multimodal models cannot be imported beside transformers 5.
        from mmpretrain.utils import dependency

        dependency.WITH_MULTIMODAL = False
        import mmpretrain.models  # noqa: F401
    if 'mmdet' in libraries:
        import mmdet.models  # noqa: F401
    if 'timm' in libraries:
        import timm  # noqa: F401
    if 'transformers' in libraries:
        import transformers  # noqa: F401


if __name__ == '__main__':
    sys.exit(main())
