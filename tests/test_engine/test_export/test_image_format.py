"""The order of channels and the normalization, from model and pipeline."""

import pytest
from region_models import Net, vit
from torch import nn

from iptq_mm.engine.export.image_format import image_format, loaded_order

LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackInputs')
ORDERS = {
    'a file': ([LOAD, PACK], 'BGR'),
    'with a scope': ([dict(type='mmcv.LoadImageFromFile'), PACK], 'BGR'),
    'grey': ([dict(LOAD, color_type='grayscale'), PACK], 'grey'),
    'arrays of a data set': ([PACK], ''),
    'turned': ([LOAD, dict(type='NumpyToPIL', to_rgb=True), PACK], 'RGB'),
    'and back': (
        [
            LOAD,
            dict(type='NumpyToPIL', to_rgb=True),
            dict(type='PILToNumpy', to_bgr=True),
            PACK,
        ],
        'BGR',
    ),
}


@pytest.mark.parametrize('pipeline, order', ORDERS.values(), ids=ORDERS)
def test_pipelines(pipeline, order):
    assert loaded_order(pipeline) == order


def model_with(preprocessor: nn.Module) -> nn.Module:
    model = Net(vit())
    model.data_preprocessor = preprocessor
    return model


def preprocessors(flip: bool, channels: int = 3) -> list[nn.Module]:
    from mmdet.models import DetDataPreprocessor
    from mmengine.model import ImgDataPreprocessor
    from mmpretrain.models import ClsDataPreprocessor

    given = dict(mean=[9.0] * channels, std=[5.0] * channels)
    return [
        ImgDataPreprocessor(bgr_to_rgb=flip, **given),
        DetDataPreprocessor(bgr_to_rgb=flip, **given),
        ClsDataPreprocessor(to_rgb=flip, **given),
    ]


@pytest.mark.parametrize('flip, order', [(True, 'RGB'), (False, 'BGR')])
def test_data_preprocessors(flip, order):
    for preprocessor in preprocessors(flip):
        found = image_format(model_with(preprocessor), [LOAD, PACK])
        assert (found.channels, found.mean, found.std) == (order, (9,) * 3, (5,) * 3)
        # Nobody says how the data set has it, and a flip does not help.
        assert image_format(model_with(preprocessor), [PACK]).channels == ''


def test_one_channel_and_none():
    from mmpretrain.models import ClsDataPreprocessor

    one = model_with(ClsDataPreprocessor(mean=[9.0], std=[5.0]))
    assert image_format(one, [PACK]).channels == 'grey'
    assert image_format(model_with(ClsDataPreprocessor()), [LOAD, PACK]) is None
