"""What the fits of Poly-GELU buy, on the inputs of a model's GELUs.

python benchmarks/poly_gelu_fits.py CONFIG [CHECKPOINT] [--images 64] [--judge 64]

The pair (a, b) of each GELU is fitted on calibration images. *RMS* and *max* are errors
of the polynomial, in real numbers, on 10001 even points of the layer's range; *SQNR* is
that of its outputs on the calibrated distribution of inputs. For *logits*, the float
model runs with this polynomial in place of all its GELUs, on other images of the
calibration set; nothing is quantized.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.config import DictAction
from torch import Tensor
from torch.nn import functional as F

from iptq_mm.calibration import expanded, observe
from iptq_mm.calibration.batches import run_batches
from iptq_mm.engine.calibration_data import build_calibration_dataloader
from iptq_mm.engine.loading.models import build_model, read_config
from iptq_mm.engine.quantize.settings import read_settings
from iptq_mm.engine.study.inputs import study_batches
from iptq_mm.functions import FunctionSite
from iptq_mm.functions.gelu.poly_gelu import PolyGELU
from iptq_mm.intmath import QParams
from iptq_mm.modes.base import FloatMode
from iptq_mm.operations import Operation
from iptq_mm.qtensor import QTensor
from iptq_mm.record import RegionRecord
from iptq_mm.statistics import Statistics
from iptq_mm.utils.markdown import table

VARIANTS: dict[str, dict[str, Any]] = {
    'published pair': dict(fit=False),
    'density, erf (the default)': dict(fit='density'),
    'density, gelu': dict(fit='density', objective='gelu'),
    'range, erf (the paper)': dict(fit='range'),
    'range, erf, 24 points': dict(fit='range', points=24),
    'range, gelu': dict(fit='range', objective='gelu'),
}
Pair = tuple[float, float]


def polynomial(x: Tensor, pair: Pair) -> Tensor:
    """``x/2 * (1 + L(x/sqrt(2)))`` with the pair (a, b)."""
    a, b = pair
    u = x.abs() * 0.5**0.5
    erf = a * (u.clamp_max(-b) + b) ** 4 + 1
    return x / 2 * (1 + x.sign() * erf)


def fitted(seen: Statistics, options: dict[str, Any]) -> Pair:
    """The pair of a layer.

    Args:
        seen: Statistics of its inputs.
        options: Of :class:`PolyGELU`.
    """
    unused = QParams(1.0, -1, 1)
    return PolyGELU(**options).pair(FunctionSite(unused, unused, *seen.samples()))


def errors(seen: Statistics, pair: Pair) -> tuple[float, float, float]:
    """RMS and largest error on the range, and SQNR on the distribution in dB."""
    x = torch.linspace(seen.minimum, seen.maximum, 10001, dtype=torch.float64)
    error = polynomial(x, pair) - F.gelu(x)
    values, counts = seen.samples()
    real = F.gelu(values)
    noise = (polynomial(values, pair) - real).square() @ counts
    sqnr = 10 * torch.log10((real.square() @ counts) / noise)
    return float(error.square().mean().sqrt()), float(error.abs().max()), float(sqnr)


class WithPolynomials(FloatMode):
    """Float values, with polynomials in the place of the GELUs.

    Args:
        record: Says what is shifted.
        pairs: Pair of each GELU; without one it is exact.
        logits: Gets what leaves the region.
    """

    def __init__(
        self, record: RegionRecord, pairs: dict[str, Pair], logits: list[Tensor]
    ) -> None:
        self.channel_shifts = record.channel_shifts
        self.pairs, self.logits = pairs, logits

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        x = super().run(operation, inputs, attributes)
        given = inputs[0]
        if x.source in self.pairs and given is not None:
            x.payload = polynomial(given.payload, self.pairs[x.source])
        return x

    def leave(self, value: QTensor) -> Tensor:
        """See the base class."""
        self.logits.append(super().leave(value))
        return self.logits[-1]


def rows(args: argparse.Namespace) -> Iterator[list[str]]:
    """The lines of the table."""
    cfg = read_config(args.config, args.checkpoint, args.cfg_options)
    cfg.quantization.calibration.num_images = args.images
    settings = read_settings(cfg)
    model = build_model(cfg)
    settings.regions = expanded(model, settings.regions)
    loader = build_calibration_dataloader(cfg, settings, 0)
    records = observe(model, settings, model.test_step, loader)
    held = study_batches(cfg, settings, loader, args.judge, 'calibration', 0)
    batches, last = list(held.loader), [*records][-1]
    gelus = {
        name: [s for s, kind in record.operations.items() if kind == 'gelu']
        for name, record in records.items()
    }

    def seen(name: str, site: str) -> Statistics:
        return records[name].values[str(records[name].sources[site][0])]

    def logits(pairs: dict[str, dict[str, Pair]]) -> Tensor:
        found: dict[str, list[Tensor]] = {name: [] for name in records}
        modes = {
            name: WithPolynomials(record, pairs.get(name, {}), found[name])
            for name, record in records.items()
        }
        run_batches(model, modes, model.test_step, batches)
        return torch.cat(found[last])

    real = logits({})
    for variant, options in VARIANTS.items():
        pairs = {
            name: {site: fitted(seen(name, site), options) for site in sites}
            for name, sites in gelus.items()
        }
        each = [
            errors(seen(name, site), pair)
            for name, of_region in pairs.items()
            for site, pair in of_region.items()
        ]
        rms, most, sqnr = torch.tensor(each, dtype=torch.float64).T
        found = [pair for of_region in pairs.values() for pair in of_region.values()]
        noise = (logits(pairs) - real).double().square().sum()
        at_logits = 10 * torch.log10(real.double().square().sum() / noise)
        a, b = torch.tensor(found, dtype=torch.float64).T
        yield [
            variant,
            f'{a.min():.5f} to {a.max():.5f}',
            f'{b.min():.4f} to {b.max():.4f}',
            f'{rms.mean():.5f}',
            f'{most.max():.5f}',
            f'{sqnr.min():.1f} / {sqnr.median():.1f} / {sqnr.max():.1f}',
            f'{at_logits:.1f}',
        ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description='Compare the fits of Poly-GELU')
    parser.add_argument('config', help='config with a quantization')
    parser.add_argument(
        'checkpoint', nargs='?', help='default: load_from of the config'
    )
    parser.add_argument('--images', type=int, default=64, help='to fit on')
    parser.add_argument('--judge', type=int, default=64, help='to compare logits on')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    titles = ['fit', 'a', 'b', 'RMS', 'max', 'SQNR by layer, dB', 'logits, dB']
    lines = [*rows(parser.parse_args())]
    print(table(titles, lines, align='l' + 'r' * (len(titles) - 1)))


if __name__ == '__main__':
    main()
