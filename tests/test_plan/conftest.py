"""Plans of tiny models, made once."""

import pytest
import torch
from region_models import FAMILIES, SEVERAL, calibrated, config, images


@pytest.fixture(scope='session', params=['deit', 'mmdet_swin'])
def case(request):
    """Float model, its plan, an image of another size."""
    with torch.no_grad():
        batches = [images(2, 3, 32, 32, seed=s) for s in range(2)]
        net, plan, _ = calibrated(FAMILIES[request.param](), batches, config(SEVERAL))
    return net, plan, images(2, 3, 48, 40)


@pytest.fixture(scope='session')
def plan(case):
    return case[1]
