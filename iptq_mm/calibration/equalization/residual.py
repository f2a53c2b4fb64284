"""Ranges by channel of the residual stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ...registry import EQUALIZERS
from .base import (
    Equalized,
    Equalizer,
    Uses,
    alone,
    check_beyond,
    magnitudes,
    outliers,
    scale,
)
from .channel_map import PARAMETER, ChannelMap

#: Stands for a range of 0 in divisions.
_TINY = 1e-300
#: Bits of 16 that the input of a LayerNorm may lose for the sake of linear layers.
_LOST = 2


@EQUALIZERS.register_module('power_of_two')
class PowerOfTwoFactor(Equalizer):
    """Gives the channels that LayerNorms read like ranges, by powers of two.

    The Power-of-Two Factor of FQ-ViT (Lin et al., arXiv 2111.13824, section 3.2):
    channel ``c`` of a LayerNorm's input has ``2**alpha_c`` times the scale of all,
    and LayerNorm gets ``q << alpha_c``. There, each such input is quantized anew;
    here, every value that sums or concatenation join with it shares the powers, for
    sums to stay what they are: whatever makes one of them (weights, biases,
    LayerNorm's affine part, embeddings) is divided by ``2**alpha_c``. A linear layer
    among the readers has ``2**alpha_c`` in its weights instead of a shift.

    With ``r_c`` the largest magnitude of a channel over that of the widest one, in
    the mean over the inputs of LayerNorms, and ``K`` the largest power,

        alpha_c = max(0, K + ceil(log2(r_c / max r))),

    less the smallest of them. Of a single input, the widest channel so falls by
    ``2**K``, none lies above it then, and none has coarser steps than without.

    A shifted value beyond the 16 bits that LayerNorm takes loses its lowest bits, see
    :func:`~iptq_mm.qtensor.channel_shifts.fewer_bits`.

    Args:
        max_power: ``K``; 3 in the paper.
        linear: Only values that linear layers read, with the ratios ``r_c`` of what
            these read. So it is in transformers that normalize the residual stream
            itself (BERT): its channels enter linear layers with few bits. The largest
            power is ``K`` or less, such that no LayerNorm loses more than 2 of its 16
            bits.
        beyond: Only channels that are larger than so many times the median have powers
            of their own, and only values with such channels any; None: all.

    Raises:
        ValueError: If ``max_power`` is no integer from 1 to 8, or ``beyond`` below 1.
    """

    def __init__(
        self, max_power: int = 3, linear: bool = False, beyond: float | None = None
    ) -> None:
        check_beyond(beyond)
        if not (isinstance(max_power, int) and 1 <= max_power <= 8):
            raise ValueError(f'max_power is an integer from 1 to 8, not {max_power}')
        self.max_power = max_power
        self._linear, self._beyond = linear, beyond

    def equalize(self, region: Equalized) -> int:
        """See the base class."""
        uses, done = Uses(region.channels), 0
        for members in joined(region.channels):
            readers = _readers(uses, members)
            deciding = sum(map(self._counts, readers))
            if self._linear and not any(m in region.channels.sums for m in members):
                continue  # what one LayerNorm makes: see ``layer_norm``
            if deciding and all(_writable(region, uses, m, members) for m in members):
                powers = self._powers(region, members, readers)
                if powers.any():
                    _divide(region, members, powers)
                    _multiply(region, members, powers, readers)
                    done += deciding
        return done

    def _counts(self, reader: str) -> bool:
        """Whether the ranges of what a site reads decide."""
        return _is_layer_norm(reader) is not self._linear

    def _powers(
        self, region: Equalized, members: list[str], readers: list[str]
    ) -> Tensor:
        """``alpha``, int64, shape (C,)."""
        widths = torch.zeros(region.channels.sizes[members[0]], dtype=torch.float64)
        for width in _read(region, members, filter(self._counts, readers)):
            widths += width / width.max().clamp_min(_TINY)
        widths = alone(widths, outliers(widths, self._beyond))
        relative = widths / widths.max().clamp_min(_TINY)
        powers = (self.max_power + relative.log2().ceil()).clamp_min(0).long()
        powers = powers - powers.min()
        if self._linear:
            normalized = _read(region, members, filter(_is_layer_norm, readers))
            powers = _with_bits(powers, list(normalized))
        return powers


def _read(
    region: Equalized, members: list[str], readers: Iterable[str]
) -> Iterator[Tensor]:
    """Largest magnitudes of the channels of those members that some sites read."""
    readers = list(readers)
    for name in members:
        if any(len(region.channels.columns(r, name)[0]) for r in readers):
            yield magnitudes(region.ranges.values[name])


def _with_bits(powers: Tensor, widths: list[Tensor]) -> Tensor:
    """The powers, less what would cost the inputs of LayerNorms too many bits.

    A shifted value has as many more bits as the largest power, and loses them again,
    while its range falls by as much only if the widest channels have that power.

    Args:
        powers: Shape (C,).
        widths: Largest magnitudes of the channels of each input.
    """
    for most in range(int(powers.max()), 0, -1):
        fewer = powers.clamp_max(most)
        scales = [float((w / 2.0**fewer).max() * 2**most / w.max()) for w in widths]
        if all(scale <= 2**_LOST for scale in scales):
            return fewer
    return torch.zeros_like(powers)


def joined(channels: ChannelMap) -> list[list[str]]:
    """Classes of sites and parameters whose channels are summed or concatenated."""
    classes = {name: {name} for name in channels.first}
    for site, names in channels.sums.items():
        union = set().union(*(classes[name] for name in (site, *names)))
        classes.update(dict.fromkeys(union, union))
    return [sorted(c) for name, c in classes.items() if name == min(c)]


def _readers(uses: Uses, members: list[str]) -> list[str]:
    """The LayerNorms and linear layers that use a class; none if anything else does."""
    found = uses.of(c for name in members for c in uses.map.channels(name)) or {}
    readers = found.pop('features', [])
    linear = [r for r in readers if not _is_layer_norm(r)]
    if not found.keys() <= {'sums'} or not all(map(uses.scalable, linear)):
        return []
    return readers


def _writable(region: Equalized, uses: Uses, name: str, members: list[str]) -> bool:
    """Whether what makes a value can take factors."""
    if name.startswith(PARAMETER):
        used = region.channels.uses[name.removeprefix(PARAMETER)]
        return used <= set(members)
    made = name in region.channels.sums or uses.movable(name)
    return made and name in region.ranges.values


def _divide(region: Equalized, members: list[str], powers: Tensor) -> None:
    """Divide each channel of a class by its power of two."""
    by = 2.0**-powers
    for name in members:
        if name.startswith(PARAMETER):
            scale(region.parameters[name.removeprefix(PARAMETER)], -1, by)
        elif name in region.channels.sums:
            scale(region.ranges.values[name], 1, by)
        else:
            region.scale_made(name, by)


def _multiply(
    region: Equalized, members: list[str], powers: Tensor, readers: list[str]
) -> None:
    """Give the readers of a class what they are to multiply it by."""
    channels = region.channels
    for reader in readers:
        for name in members:
            columns, index = channels.columns(reader, name)
            if not _is_layer_norm(reader):
                region.scale_read(reader, name, 2.0**powers)
            elif len(columns):
                before = torch.tensor(
                    region.powers.get(reader, [0] * len(channels.features[reader]))
                )
                before[columns] += powers[index]
                region.powers[reader] = before.tolist()


def _is_layer_norm(site: str) -> bool:
    return '/layer_norm:' in site
