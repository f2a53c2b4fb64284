"""The plan is the same to the bit for any number of ranks and any batch size."""

import copy
import hashlib
from pathlib import Path

import pytest
import torch
from forked_ranks import on_ranks
from mmengine.config import Config
from region_models import SEVERAL, images, vit
from torch import nn

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine.calibration_data.build import _batches_of_this_rank
from iptq_mm.engine.calibration_data.loader import CalibrationLoader
from iptq_mm.engine.quantize.model import quantize_model

PRESETS = Path(__file__).parents[4] / 'configs/_base_/quantization'
COUNT = 21
#: What the presets leave out.
EVERYTHING = dict(
    activation=dict(bits=8, search_images=16, guard_images=8),
    calibration=dict(function_ranges='output', recalibrate='all'),
)


class Classifier(nn.Module):
    """Layers with one row for each image are the ones that batches change most."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = vit()
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        return self.head(self.backbone(x)[-1])

    def test_step(self, x):
        return self(x)


@pytest.fixture(scope='module')
def net():
    torch.manual_seed(0)
    return Classifier().eval()


def settings(preset, size, **more):
    cfg = Config.fromfile(PRESETS / f'{preset}.py').quantization.to_dict()
    cfg = {**cfg, **more, 'regions': ['backbone', 'head'], 'pixels': False}
    cfg['calibration'] = dict(
        num_images=COUNT, analysis_images=16, batch_size=size, **more['calibration']
    )
    return QuantizationConfig.from_dict(cfg, SEVERAL)


def quantized(net, config):
    """The plans, and a digest of the integers."""
    model = copy.deepcopy(net)
    batches = _batches_of_this_rank(COUNT, config.calibration.batch_size)
    loader = CalibrationLoader(
        images(COUNT, 3, 32, 32), batches, collate_fn=torch.stack
    )
    with torch.no_grad():
        done = quantize_model(model, config, loader)
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    plans = {name: plan.to_dict() for name, plan in done.plans.items()}
    return plans, digest.hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize(
    'preset, more',
    [('w8a8', {}), ('w4a8', {}), ('w8a8', EVERYTHING)],
    ids=['w8a8', 'w4a8', 'everything'],
)
def test_any_ranks_and_batches(net, preset, more):
    more = {'calibration': {}, **more}

    def run(ranks, size):
        config = settings(preset, size, **more)
        return on_ranks(ranks, lambda: quantized(net, config))

    (expected,) = run(1, 8)
    for ranks, size in ((1, 1), (1, 5), (1, 21), (2, 8), (3, 4), (4, 2), (2, 1)):
        for rank, found in enumerate(run(ranks, size)):
            assert found == expected, f'{ranks} ranks, batches of {size}, rank {rank}'
