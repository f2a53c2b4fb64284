"""What all calibration images show, not the first batch alone."""

import pytest
import torch
from mmengine.model import ImgDataPreprocessor
from region_models import Net, spread, vit
from torch import nn

from iptq_mm.calibration.rewrites.image_look import look_at_images
from iptq_mm.pixels import Pixels

GREY = Pixels((127.5,) * 3, (64.0,) * 3)


class Model(Net):
    """A backbone, and a head that counts how often it runs."""

    def __init__(self, backbone: nn.Module, twice: bool = False) -> None:
        super().__init__(backbone)
        self.data_preprocessor = ImgDataPreprocessor([127.5] * 3, [64.0] * 3)
        self.twice, self.heads = twice, 0
        self.eval()

    def test_step(self, images):
        x = self.data_preprocessor({'inputs': list(images)})['inputs']
        for _ in range(1 + self.twice):
            self.backbone(x)
        self.heads += 1


class First(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 2), nn.LayerNorm(4)

    def forward(self, x):
        return self.norm(self.first(x).permute(0, 2, 3, 1))


def bits(count: int, high: int, dtype=torch.uint8, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, high, (count, 3, 8, 8), generator=generator)
    return drawn.to(dtype)


def look(batches, model=None):
    model = model or Model(spread(First()))
    found = look_at_images(model, ['backbone'], GREY, model.test_step, batches)
    return found['backbone'], model


def test_a_later_batch_decides():
    dark, bright = (bits(2, high, torch.float32) for high in (200, 60000))
    for batches in ([bright, dark], [dark, dark, bright], [dark, bright, dark]):
        assert '8-bit pixels (off by' in look(batches)[0].reason
    assert not look([dark] * 3)[0].reason


def test_no_more_runs_than_what_comes_before_the_regions():
    batches = [bits(2, 256, seed=s) for s in range(4)]
    seen, model = look(iter(batches))
    assert not seen.reason and model.heads == 1
    # Once the answer is known, nothing else is loaded.
    halves = iter([bits(2, 9).float() + 0.5] * 4)
    assert 'off by 0.5' in look(halves)[0].reason
    assert len(list(halves)) == 2


def test_every_call_is_seen():
    class Blurred(Model):
        def test_step(self, images):
            x = self.data_preprocessor({'inputs': list(images)})['inputs']
            self.backbone(x)
            self.backbone(x / 3 if self.heads else x)
            self.heads += 1

    model = Blurred(spread(First()))
    assert 'off by' in look([bits(2, 256)] * 2, model)[0].reason
    assert model.heads == 2
    _, model = look([bits(2, 256)] * 3, Model(spread(First()), twice=True))
    assert model.heads == 3


#: Some torch versions have no uint16.
WIDE = [torch.int16, torch.int32, getattr(torch, 'uint16', torch.int64)]


@pytest.mark.parametrize('dtype', WIDE)
def test_wide_integers_are_no_8_bit_pixels_however_dark(dtype):
    seen, _ = look([bits(2, 200, dtype)])
    assert f'of {dtype}, not of 8 bits' in seen.reason


def test_padding_in_a_later_batch():
    model = Model(spread(First()))
    model.data_preprocessor.pad_size_divisor = 5
    full = [torch.zeros(3, 10, 10, dtype=torch.uint8)] * 2
    mixed = [full[0], full[0][:, :7]]
    seen, _ = look([full, full, mixed, full], model)
    assert seen.padded and not seen.reason
    # That is the call on which the rewriting is tried.
    assert seen.call is not None and (seen.call.args[0][1, :, 7:] == 0).all()
    assert not look([full], model)[0].padded


def test_no_image():
    class Rows(Model):
        def test_step(self, images):
            self.backbone(images.float().flatten(1))

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Linear(192, 4), nn.LayerNorm(4)

        def forward(self, x):
            return self.norm(self.first(x))

    assert 'no batch of images' in look([bits(2, 9)], Rows(spread(Linear())))[0].reason


def test_handles_are_removed():
    model = Model(vit())
    batches = [torch.zeros(1, 3, 32, 32, dtype=torch.uint8)]
    look(batches, model)
    assert not model.backbone._forward_pre_hooks
    assert not model.data_preprocessor._forward_pre_hooks
