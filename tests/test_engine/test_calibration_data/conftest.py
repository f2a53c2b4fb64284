import gc

import pytest
import tiny_models
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope


@pytest.fixture(scope='session', autouse=True)
def quick_datasets():
    """Data sets collect garbage when they are built: not that of all libraries."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def cfg(tiny_data):
    init_default_scope('mmpretrain')
    return tiny_models.swin(tiny_data / 'classification')


@pytest.fixture
def vit_cfg(tiny_data):
    init_default_scope('mmpretrain')
    return tiny_models.vit(tiny_data / 'classification')


@pytest.fixture
def det_cfg(tiny_data):
    init_default_scope('mmdet')
    return tiny_models.mask_rcnn(tiny_data / 'detection')


@pytest.fixture
def logged(monkeypatch, tmp_path):
    """Levels and messages of what is logged."""
    lines = []
    MMLogger.get_instance(str(tmp_path), log_level='INFO')
    monkeypatch.setattr(
        MMLogger,
        'callHandlers',
        lambda _, record: lines.append((record.levelname, record.getMessage())),
    )
    return lines
