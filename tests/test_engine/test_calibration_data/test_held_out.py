import pytest
from calibration_cases import files, loader, paths, settings

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine.calibration_data import build_held_out_dataloader

ASKED = dict(agreement=0.5, confidence=0.5)


def held_out(cfg, images, seed=0):
    quantization = {**cfg.quantization, 'guarantee': dict(ASKED, images=images)}
    return build_held_out_dataloader(
        cfg, QuantizationConfig.from_dict(quantization, cfg.candidates), seed
    )


@pytest.mark.parametrize('images', [1, 2, 3, 20])
def test_what_is_held_out_calibrates_nothing(tiny_data, vit_cfg, images):
    root = tiny_data / 'classification'
    calibrating, kept = paths(loader(vit_cfg)), paths(held_out(vit_cfg, images))
    assert len(kept) == min(images, 3) and not {*kept} & {*calibrating}
    assert {*kept} <= {*files(root, 'train')}


def test_the_same_images_calibrate_with_a_guarantee(vit_cfg):
    before = paths(loader(vit_cfg))
    vit_cfg.quantization.guarantee = dict(ASKED, images=3)
    assert paths(loader(vit_cfg)) == before


def test_an_image_that_a_given_dataset_has_twice_is_not_held_out(vit_cfg):
    twice = dict(
        dataset=dict(
            type='ConcatDataset', datasets=[vit_cfg.train_dataloader.dataset] * 2
        )
    )
    vit_cfg.quantization.calibration.dataloader = twice
    assert settings(vit_cfg).calibration.dataloader
    calibrating, kept = paths(loader(vit_cfg)), paths(held_out(vit_cfg, 9))
    assert not {*kept} & {*calibrating} and len({*kept}) == len(kept)


def test_nothing_is_left(vit_cfg):
    vit_cfg.quantization.calibration.num_images = 9
    assert held_out(vit_cfg, 3) is None
