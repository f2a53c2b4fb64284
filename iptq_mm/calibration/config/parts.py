"""The dicts within ``quantization``."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class WeightConfig:
    """Weights: symmetric, one scale for each output channel.

    Attributes:
        bits: Bits of an integer, 2 to 8.
        observer: Registry dict; gives the range of each channel.
        rounding: Registry dict; makes the integers.
        bias_correction: Whether biases make up for the mean error of their layer.
        guided: Whether both go by what an error does to the outputs of the region:
            inputs of a layer count by the squared gradient at what it makes of them.
    """

    bits: int = 8
    observer: dict = field(default_factory=lambda: {'type': 'minmax'})
    rounding: dict = field(default_factory=lambda: {'type': 'nearest'})
    bias_correction: bool = False
    guided: bool = False


@dataclass
class ActivationConfig:
    """Inputs of linear layers and products.

    Attributes:
        bits: Bits of an integer, 2 to 8.
        observer: Registry dict; gives the range.
        symmetric: Whether ranges are symmetric even where the hardware could
            take a zero point (inputs of linear layers and convolutions).
        search_images: How many calibration images choose the ranges by the error
            at the region's outputs, in the place of the observer; 0: the observer
            chooses.
    """

    bits: int = 8
    observer: dict = field(
        default_factory=lambda: {'type': 'percentile', 'percentile': 99.999}
    )
    symmetric: bool = False
    search_images: int = 0


@dataclass
class WideConfig:
    """Values that no product takes directly.

    The residual stream, inputs of LayerNorm and Softmax, attention
    probabilities and what leaves the region.

    Attributes:
        bits: Bits of an integer, at most 16.
        observer: Registry dict; gives the range.
        attention: Bits of the attention probabilities; None: ``bits``.
        gelu: Bits of the inputs of GELU; None: ``bits``.
        softmax: Bits of the inputs of Softmax; None: ``bits``.
    """

    bits: int = 16
    observer: dict = field(default_factory=lambda: {'type': 'minmax'})
    attention: int | None = None
    gelu: int | None = None
    softmax: int | None = None


@dataclass
class CalibrationConfig:
    """The images that are looked at.

    Attributes:
        num_images: How many images give the ranges.
        analysis_images: How many of them try the candidate functions.
        batch_size: Images in a batch.
        dataloader: A dataloader config; None: the training dataset with the
            pipeline of the test dataset.
    """

    num_images: int = 128
    analysis_images: int = 32
    batch_size: int = 8
    dataloader: dict | None = None
