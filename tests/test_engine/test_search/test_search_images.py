"""Which images calibrate in a search, and which tell what few bits cost."""

import pytest
import tiny_models
from mmengine.registry import init_default_scope

from iptq_mm.calibration import ConfigError, QuantizationConfig
from iptq_mm.engine.calibration_data import build_held_out_dataloader
from iptq_mm.engine.search import images
from iptq_mm.engine.search.images import search_images


@pytest.fixture
def cfg(tiny_data):
    init_default_scope('mmpretrain')
    return tiny_models.vit(tiny_data / 'classification')


def split(cfg, count, judging, monkeypatch, **calibration):
    """Paths of the images that calibrate and that judge, and the settings."""
    monkeypatch.setattr(images, 'JUDGING', judging)
    calibration = {**cfg.quantization.calibration, 'num_images': count, **calibration}
    settings = QuantizationConfig.from_dict(
        {**cfg.quantization, 'calibration': calibration}, cfg.candidates
    )
    found = search_images(cfg, settings, 0)
    return paths_of(found.calibrating), paths_of(found.judging), found.settings


def paths_of(loader):
    return [sample.img_path for batch in loader for sample in batch['data_samples']]


# The data set has nine images.
@pytest.mark.parametrize(
    ('count', 'judging', 'calibrate', 'judge'),
    [(6, 3, 6, 3), (6, 2, 6, 2), (9, 3, 6, 3), (9, 100, 5, 4), (50, 100, 5, 4)],
)
def test_no_image_does_both(cfg, monkeypatch, count, judging, calibrate, judge):
    calibrating, judges, settings = split(cfg, count, judging, monkeypatch)
    assert (len(calibrating), len(judges)) == (calibrate, judge)
    assert not {*calibrating} & {*judges}
    fewer = calibrate < min(count, 9)
    assert settings.calibration.num_images == (calibrate if fewer else count)


def test_mirrored_images_judge_nothing(cfg, monkeypatch):
    calibrating, judges, _ = split(cfg, 9, 100, monkeypatch, mirrored=True)
    assert len(calibrating) == 10 and len(judges) == 4
    assert not {*calibrating} & {*judges}
    assert len(split(cfg, 50, 100, monkeypatch, mirrored=True)[0]) == 10


def test_images_of_a_guarantee_do_neither(cfg, monkeypatch):
    certifying = dict(agreement=0.5, confidence=0.5, images=3)
    cfg.quantization.guarantee = certifying
    whole = QuantizationConfig.from_dict(
        {
            **cfg.quantization,
            'calibration': {**cfg.quantization.calibration, 'num_images': 4},
        },
        cfg.candidates,
    )
    kept = paths_of(build_held_out_dataloader(cfg, whole, 0))
    calibrating, judges, _ = split(cfg, 4, 3, monkeypatch)
    assert len(kept) == 3 and len(judges) == 3 and len(calibrating) == 3
    assert not {*kept} & {*calibrating, *judges} and not {*calibrating} & {*judges}


def test_one_image_cannot_do_both(cfg, monkeypatch):
    one = {**cfg.train_dataloader.dataset, 'indices': 1}
    cfg.quantization.calibration.dataloader = dict(dataset=one)
    with pytest.raises(ConfigError, match='two calibration images at least'):
        split(cfg, 4, 100, monkeypatch)
