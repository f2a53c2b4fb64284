"""The dicts within ``quantization``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...intmath.weight_codes import most_factor
from ...registry import CODES, OBSERVERS
from .reading import ConfigError, check_arguments, check_type, meant

#: Kinds of operations whose results may have codes.
WITH_CODES = ('gelu', 'layer_norm', 'linear', 'matmul')
#: Most images that are chosen or held out together, whatever the size of a batch.
GROUP = 8
#: Values of the options that calibrate the model again, functions in place.
_STAGES = {'recalibrate': ('all', 'order'), 'function_ranges': ('site', 'output')}


@dataclass
class WeightConfig:
    """Precision of weights: symmetric, one scale for each output channel.

    Attributes:
        bits: Bits of an integer, 2 to 8; to 16 with rounding to the nearest.
        observer: Registry dict; chooses the range of each channel.
        rounding: Registry dict; rounds weights to integers.
        bias_correction: Whether biases make up for the mean error of their layer.
        guided: Whether both minimize the effect of errors on the outputs of the region:
            each row of a layer's inputs is weighted by the squared gradient at the
            output that the layer makes of it.
        group: So many inputs of a channel share a whole factor of 1 to 16, of four
            bits, see :mod:`iptq_mm.rounding.groups`; 0: there are no groups. For 2 to
            7 bits.
    """

    bits: int = 8
    observer: dict = field(default_factory=lambda: {'type': 'minmax'})
    rounding: dict = field(default_factory=lambda: {'type': 'nearest'})
    bias_correction: bool = False
    guided: bool = False
    group: int = 0

    def check(self, where: str) -> None:
        """Raise ConfigError unless groups and rounding suit the bits.

        Args:
            where: Its key in the config, for the message.
        """
        check_group(self.group, self.bits, where)
        if self.bits > 8 and self.rounding.get('type') != 'nearest':
            raise ConfigError(
                f'{where}.bits={self.bits}: {self.rounding.get("type")!r} rounds to at '
                f"most 8 bits; use {where}.rounding=dict(_delete_=True, type='nearest')"
            )


def check_group(group: int | None, bits: int | None, where: str) -> None:
    """Raise ConfigError if no weight of so many bits has such groups.

    Args:
        group: Inputs that share a factor; 0: none do; None: not given.
        bits: Bits of the weight; None: not given.
        where: The key of the weight in the config, for the message.
    """
    if group and (group < 2 or (bits is not None and most_factor(bits) < 2)):
        beside = '' if bits is None else f' with bits={bits}'
        raise ConfigError(
            f'{where}.group={group}{beside}: use 2 or more inputs, and 2 to 7 bits; '
            'or 0'
        )


@dataclass
class ActivationConfig:
    """Precision of the inputs of linear layers, convolutions and matrix products.

    Attributes:
        bits: Bits of an integer, 2 to 8; to 16 at the cost of speed.
        observer: Registry dict; chooses the range. Where an override gives 8 bits or
            more to a value, and ``bits`` are fewer, the default one does.
        symmetric: Whether ranges are symmetric even where the hardware could
            take a zero point (inputs of linear layers and convolutions).
        search_images: How many calibration images choose the ranges by the error
            at the region's outputs, instead of the observer; 0: the observer
            chooses.
        guard_images: How many calibration images are held out from the choice of
            ranges to judge it: ranges that lose there against those of
            ``guard_observers`` are not used; 0: the choice is not judged.
        guard_observers: Registry dicts of the observers to compare with. Limits that
            ``search_images`` found are compared with ``observer``, too.
        least_db: Where the rounding of values to ``bits`` alone leaves less than so
            many dB at the outputs of a region, the inputs of linear layers that cost
            most have ``wide.bits``, as few as it takes; None: all have ``bits``.
        codes: By operation kind (:data:`WITH_CODES`), the registry dict of what chooses
            the levels of its results, where ``bits`` are fewer than 8; of a kind that
            is not named, or None, they are evenly spaced.
    """

    bits: int = 8
    observer: dict = field(
        default_factory=lambda: {'type': 'percentile', 'percentile': 99.999}
    )
    symmetric: bool = False
    search_images: int = 0
    # A kept state has them in its key if there are images.
    guard_images: int = field(default=0, repr=False)
    guard_observers: list[dict] = field(
        default_factory=lambda: [
            {'type': 'minmax'},
            {'type': 'percentile', 'percentile': 99.9999},
            {'type': 'percentile', 'percentile': 99.999},
        ],
        repr=False,
    )
    codes: dict = field(default_factory=dict)
    # Part of the key of a kept state, as guard_images are.
    least_db: float | None = field(default=None, repr=False)

    def guard(self) -> list[Any]:
        """What describes the guard and ``least_db``; empty: there are none."""
        guard = [self.guard_images, self.guard_observers] if self.guard_images else []
        return guard if self.least_db is None else [*guard, 'dB', self.least_db]

    def check(self, where: str, calibration: CalibrationConfig) -> None:
        """Raise ConfigError unless the guard and the codes are known.

        Args:
            where: Its key in the config, for the message.
            calibration: Has the images.
        """
        images = self.guard_images
        size = min(GROUP, images) or 1
        held, every = (-(-n // size) for n in (images, calibration.num_images))
        if images < 0 or (images and held >= every):
            raise ConfigError(
                f'{where}.guard_images={images}: of num_images='
                f'{calibration.num_images} in groups of {size}, at least one group '
                'has to be left to choose ranges on; use more images, or guard_images=0'
            )
        if self.least_db is not None and not 0 <= self.least_db < 100:
            raise ConfigError(
                f'{where}.least_db={self.least_db}: use 0 to 100 dB, or None'
            )
        for i, cfg in enumerate(self.guard_observers):
            name = f'{where}.guard_observers[{i}]'
            check_type(OBSERVERS, cfg, name)
            check_arguments(OBSERVERS, cfg, name)
        if self.guard_images and not self.guard_observers:
            raise ConfigError(
                f'{where}.guard_images={self.guard_images} without guard_observers: '
                'there is nothing to compare with; name some, or use guard_images=0'
            )
        for kind, cfg in self.codes.items():
            if kind not in WITH_CODES:
                raise ConfigError(
                    f'{where}.codes has no {kind!r}; the results of {[*WITH_CODES]} '
                    f'may have codes{meant(kind, WITH_CODES)}'
                )
            if cfg is not None:
                check_type(CODES, cfg, f'{where}.codes.{kind}')
                check_arguments(CODES, cfg, f'{where}.codes.{kind}', merged=True)


@dataclass
class WideConfig:
    """Precision of activations that are not inputs of a matrix product.

    These are the residual stream, inputs of LayerNorm, GELU and Softmax, and outputs of
    the region. Attention probabilities belong to them, too.

    Attributes:
        bits: Bits of an integer, at most 16.
        observer: Registry dict; chooses the range.
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
    """The calibration images.

    Attributes:
        num_images: How many images the ranges are observed on.
        analysis_images: On how many of them the candidate functions are tried.
        batch_size: Images in a batch.
        dataloader: A dataloader config; None: the training dataset with the
            pipeline of the test dataset.
        mirrored: Whether each image calibrates once more, with left and right
            exchanged: for those who have few images.
        recalibrate: Whether ranges are taken again from the model that runs the chosen
            functions on quantized values (the third stage of IPTQ-ViT): ``'all'`` in
            one pass, ``'order'`` in several, in the order of execution, each with the
            new ranges of what comes before. None: the ranges are those of the float
            model.
        function_ranges: Whether the ranges of the inputs of non-linear functions are
            those with which the chosen functions err least: ``'site'`` at their own
            output, ``'output'`` at the outputs of the region (which needs gradients).
            None: the observer chooses them.
        gradient_memory_mb: Most MiB of activations that a pass backward keeps in
            memory; the rest lies in temporary files meanwhile.
    """

    num_images: int = 128
    analysis_images: int = 32
    batch_size: int = 8
    dataloader: dict | None = None
    mirrored: bool = False
    recalibrate: str | None = None
    function_ranges: str | None = None
    # No result depends on it.
    gradient_memory_mb: int = field(default=2048, repr=False)

    def check(self, where: str) -> None:
        """Raise ConfigError unless there are images and the options are known.

        Args:
            where: Its key in the config, for the message.
        """
        for name in ('num_images', 'analysis_images', 'batch_size'):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f'{where}.{name}={getattr(self, name)}: calibration needs images'
                )
        for name, known in _STAGES.items():
            value = getattr(self, name)
            if value is not None and value not in known:
                raise ConfigError(
                    f'{where}.{name}={value!r}: use None or one of '
                    f'{[*known]}{meant(value, known)}'
                )
        if self.gradient_memory_mb < 0:
            raise ConfigError(
                f'{where}.gradient_memory_mb={self.gradient_memory_mb}: use 0 or more'
            )


@dataclass
class ReconstructionConfig:
    """Reconstruction: integer blocks learn to return what the float ones return.

    Attributes:
        epochs: How often each block sees the calibration images; 0: no reconstruction.
        rate: Learning rate of weights, in steps of their integers.
        wide_rate: Learning rate of all other parameters, relative to their root mean
            square.
        damping: In a step, weights move by this share of the way to what their integers
            stand for.
        float_share: Share of the elements of a block's input that are those of the
            float model while it learns.
        guided: Whether an error counts by what it does to the region's outputs. It
            takes a pass backward through the whole region.
        memory_limit_mb: Most MiB of activations that are kept in memory; what does not
            fit lies in temporary files.
    """

    epochs: int = 0
    rate: float = 0.04
    wide_rate: float = 0.003
    damping: float = 0.03
    float_share: float = 0.0
    guided: bool = True
    memory_limit_mb: int = 1024

    def check(self, where: str) -> None:
        """Raise ConfigError unless the numbers are in their ranges.

        Args:
            where: Its key in the config, for the message.
        """
        for name in ('epochs', 'memory_limit_mb'):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f'{where}.{name}={getattr(self, name)}: use 0 or more'
                )
        for name in ('rate', 'wide_rate'):
            if not 0 <= getattr(self, name) < float('inf'):
                raise ConfigError(
                    f'{where}.{name}={getattr(self, name)}: use a number of 0 or more'
                )
        for name in ('float_share', 'damping'):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f'{where}.{name}={getattr(self, name)}: use 0 or more, below 1'
                )
