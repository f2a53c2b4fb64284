"""The test images of another config, in the place of the model's own."""

from pathlib import Path

import pytest
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.submit.data import with_data

OTHER = """
test_dataloader = dict(batch_size=64, num_workers=4, dataset=dict({dataset}))
"""


@pytest.fixture
def replaced(tmp_path):
    """A config with the test images of another one."""

    def make(text, options=None, **own):
        path = Path(tmp_path / 'other.py')
        path.write_text(OTHER.format(dataset=text))
        cfg = Config(dict(test_dataloader=dict(drop_last=False, **own)))
        with_data(cfg, str(path), options)
        return cfg.test_dataloader

    return make


def test_the_pipeline_is_that_of_the_model(replaced):
    own = dict(dataset=dict(type='A', pipeline=['load']))
    loader = replaced("type='B', dataset=dict(type='C')", **own)
    expected = dict(type='B', dataset=dict(type='C', pipeline=['load']))
    assert loader.dataset == expected
    assert loader.batch_size == 64 and loader.drop_last is False


def test_its_own_pipeline_stays(replaced):
    own = dict(dataset=dict(type='A', pipeline=['load']))
    loader = replaced("type='B', pipeline=['resize']", **own)
    assert loader.dataset == dict(type='B', pipeline=['resize'])


def test_options_count_for_the_other_images(replaced):
    own = dict(dataset=dict(type='A', pipeline=['load']))
    options = {
        'test_dataloader.num_workers': 0,
        'test_dataloader.dataset.indices': 3,
        'model.type': 'D',
    }
    loader = replaced("type='B'", options, **own)
    assert loader.num_workers == 0 and loader.batch_size == 64
    assert loader.dataset == dict(type='B', indices=3, pipeline=['load'])


def test_no_pipeline_at_all(replaced):
    with pytest.raises(ConfigError, match='other.py: neither its data set nor that'):
        replaced("type='B'")
