"""Models that normalize images, and such images: regions that take pixels."""

import torch
from mmengine.model import ImgDataPreprocessor
from region_models import CANDIDATES, Net
from torch import nn

from iptq_mm.calibration import QuantizationConfig, fold_normalization

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Model(Net):
    """As much of an mm model as calibration needs."""

    def __init__(self, backbone: nn.Module, **normalization) -> None:
        super().__init__(backbone)
        self.data_preprocessor = ImgDataPreprocessor(
            **(normalization or dict(mean=MEAN, std=STD))
        )
        self.eval()

    def normalized(self, image: torch.Tensor) -> torch.Tensor:
        return self.data_preprocessor({'inputs': list(image)})['inputs']

    def test_step(self, image: torch.Tensor):
        return self.backbone(self.normalized(image))


class Padding(nn.Module):
    """A first layer that pads, with a norm so that there is a transformer's part."""

    def __init__(self, **conv) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, **conv)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        return self.norm(self.first(x).permute(0, 2, 3, 1))


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def config(pixels: bool = True, **options) -> QuantizationConfig:
    given = dict(regions=['backbone'], pixels=pixels, **options)
    return QuantizationConfig.from_dict(given, CANDIDATES)


def fold(model: Model, batches) -> dict[str, str]:
    return fold_normalization(model, config(), model.test_step, batches)


def preprocessor(kind: str, divisor: int = 32, value: float = 0) -> nn.Module:
    """One of mm's own, which pads what it has normalized."""
    options = dict(mean=MEAN, std=STD, pad_size_divisor=divisor, pad_value=value)
    if kind == 'mmdet':
        from mmdet.models import DetDataPreprocessor

        return DetDataPreprocessor(bgr_to_rgb=True, **options)
    if kind == 'mmpretrain':
        from mmpretrain.models import ClsDataPreprocessor

        return ClsDataPreprocessor(**options)
    return ImgDataPreprocessor(**options)


class Padded(Model):
    """A model whose images have sizes of their own."""

    def __init__(self, backbone: nn.Module, kind: str = 'mmdet', **options) -> None:
        super().__init__(backbone)
        self.data_preprocessor = preprocessor(kind, **options)
        self.eval()

    def normalized(self, images: list[torch.Tensor]) -> torch.Tensor:
        batch = {'inputs': images}
        if type(self.data_preprocessor).__name__ == 'DetDataPreprocessor':
            from mmdet.structures import DetDataSample

            batch['data_samples'] = [DetDataSample() for _ in images]
        return self.data_preprocessor(batch)['inputs']


def of_sizes(*sizes: tuple[int, int], seed: int = 0) -> list[torch.Tensor]:
    return [pictures(3, *size, seed=seed + i) for i, size in enumerate(sizes)]
