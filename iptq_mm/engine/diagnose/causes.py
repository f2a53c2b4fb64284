"""From figures to words: what is wrong with a site, and what to try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ...functions import function_name
from ...intmath import QParams
from ...plan import SitePlan
from ...record import RegionRecord
from ...statistics import Statistics

#: A range clips too much if so large a share of the values lies outside.
CLIPPED = 0.01
#: A range is too wide if it is so many times as wide as the values.
WIDE = 8.0
#: A channel is an outlier if it reaches so many times as far as the median one.
OUTLIER = 16.0
#: Values of so many bits or more have steps enough for a wide range.
_ENOUGH_BITS = 10


@dataclass
class Finding:
    """One reason, most important first.

    Attributes:
        where: ``region:site``, or the input of a region.
        cause: In a few words: ``range``, ``outlier channel``, ``function``,
            ``weights``, ``bits``, ``calibration images``, ``too few images``.
        error: Squared error of the outputs over their squares, by this alone.
        text: What was measured.
        advice: What to try.
    """

    where: str
    cause: str
    error: float
    text: str
    advice: str


def explained(
    region: str,
    site: str,
    plan: SitePlan,
    parts: Mapping[str, float],
    seen: Mapping[str, Statistics],
    record: RegionRecord | None,
) -> tuple[str, str, str]:
    """The cause of the error of a site, a sentence, and what to try.

    Args:
        region: Name of the region.
        site: Name of the site in it.
        plan: Its plan.
        parts: Error of the outputs by each part of the site.
        seen: Statistics of the float values that the evaluation gave.
        record: What calibration found; None: not kept.
    """
    values = seen.get(site)
    where = '.'.join(filter(None, (region, site.split('/')[0])))
    if values is not None:
        for found in (_narrow(plan.output, values), _wide(plan.output, values)):
            if found:
                return 'range', found, _RANGES
        found = _outlier(plan.output, values)
        if found:
            return 'outlier channel', found, _EQUALIZE
    for position, q in plan.inputs.items():
        sources = record.sources.get(site, []) if record else []
        operand = seen.get(sources[position] or '') if position < len(sources) else None
        if operand is not None:
            narrow = _narrow(q, operand)
            if narrow:
                return 'range', f'operand {position}: {narrow}', _RANGES
            channel = _outlier(q, operand)
            if channel:
                return 'outlier channel', f'operand {position}: {channel}', _EQUALIZE
    worst = max(parts, key=lambda part: parts[part], default='output')
    if plan.function and worst == 'function':
        return 'function', *_function(plan, region, site, record)
    if worst == 'weights':
        return (
            'weights',
            'the rounding of its weights does most of it',
            f"more bits for it (quantization.overrides=[dict(where='{where}', "
            "weight=dict(bits=8))]), weight.rounding=dict(type='second_order'), or "
            'groups (weight.group)',
        )
    taken = min((q.code_bits for q in plan.inputs.values()), default=0)
    bits, what = plan.output.code_bits, 'result'
    if worst == 'inputs' and taken:
        bits, what = taken, 'inputs'
    more = '8' if bits < 8 else '16, which is slower'
    return (
        'bits',
        f'the {bits} bits of its {what} do most of it',
        f'more bits for the layer that reads it (activation.bits={more}; for one: '
        f"quantization.overrides=[dict(where='{where}', activation=dict(bits=...))]), "
        'or equalization',
    )


_RANGES = (
    'another observer (activation.observer: percentile, mse or minmax), '
    'activation.guard_images, and calibration images like those of the evaluation'
)
_EQUALIZE = (
    "quantization.equalization=[dict(type='layer_norm'), dict(type='attention')], or "
    'more bits for the layers that read it (quantization.overrides)'
)


def _narrow(q: QParams, seen: Statistics) -> str:
    low, high = q.scale * q.qmin, q.scale * q.qmax
    centres, counts = seen.samples()
    outside = float(counts[(centres < low) | (centres > high)].sum())
    share = outside / max(1, seen.count)
    if share < CLIPPED:
        return ''
    return (
        f'its range {low:.3g}..{high:.3g} clips {share:.1%} of the values, which reach '
        f'from {seen.minimum:.3g} to {seen.maximum:.3g}'
    )


def _wide(q: QParams, seen: Statistics) -> str:
    width = q.scale * (q.qmax - q.qmin)
    reach = max(seen.maximum, 0.0) - min(seen.minimum, 0.0)
    steps = reach / q.scale
    if not reach or width < WIDE * reach or steps >= 2**_ENOUGH_BITS:
        return ''
    return (
        f'its range is {width / reach:.0f} times as wide as the values: they use '
        f'{steps:.0f} of {q.qmax - q.qmin} steps'
    )


def _outlier(q: QParams, seen: Statistics) -> str:
    if q.code_bits >= _ENOUGH_BITS or seen.channel_minimum is None:
        return ''
    assert seen.channel_maximum is not None
    reach = torch.maximum(-seen.channel_minimum, seen.channel_maximum)
    middle = float(reach.median())
    if len(reach) < 3 or middle <= 0 or float(reach.max()) < OUTLIER * middle:
        return ''
    channel = int(reach.argmax())
    return (
        f'channel {channel} reaches {float(reach.max()) / middle:.0f} times as far as '
        'the median channel, and all share one scale'
    )


def _function(
    plan: SitePlan, region: str, site: str, record: RegionRecord | None
) -> tuple[str, str]:
    name = function_name(plan.function or {})
    tried = record.candidates.get(site, {}) if record else {}
    better = [
        (n, e.sqnr_db)
        for n, e in tried.items()
        if n != name and name in tried and e.sqnr_db > tried[name].sqnr_db + 1
    ]
    text = f'its function {name} does most of it'
    if name in tried:
        text += f' ({tried[name].sqnr_db:.1f} dB at the site)'
    if better:
        best, level = max(better, key=lambda pair: pair[1])
        return text, f'{best}, which has {level:.1f} dB there'
    if (plan.function or {}).get('literal'):
        return text, (
            'the form without literal=True, and more candidates to choose among '
            '(quantization.candidates)'
        )
    return text, (
        f"another function (quantization.overrides=[dict(where='{region}.{site}', "
        'function=...)]), or more candidates'
    )


def moments(statistics: Statistics) -> tuple[float, float]:
    """Mean and standard deviation of the values, by their histogram."""
    centres, counts = statistics.samples()
    total = max(1.0, float(counts.sum()))
    mean = float((centres * counts).sum()) / total
    variance = float(((centres - mean).square() * counts).sum()) / total
    return mean, variance**0.5
