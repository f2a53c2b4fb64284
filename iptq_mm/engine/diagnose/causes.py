"""From figures to words: what is wrong with a site, and what to try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from ...functions import function_name
from ...intmath import QParams
from ...plan import SitePlan
from ...record import RegionRecord
from ...statistics import Statistics
from ..report.look import CLIPPED, ENOUGH_BITS, OUTLIER, WIDE


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
    where = '.'.join(filter(None, (region, site.split('/')[0])))
    worst = _worst(parts)
    if worst == 'function':
        return 'function', *_function(plan, region, site, record)
    if worst == 'weights':
        return (
            'weights',
            'the rounding of its weights does most of it',
            "weight.rounding=dict(type='second_order'), groups (weight.group) below 8 "
            f"bits, or 8 bits for it (quantization.overrides=[dict(where='{where}', "
            'weight=dict(bits=8))])',
        )
    for name, quantizer, values in _quantized(site, plan, worst, seen, record):
        found = _narrow(quantizer, values) or _wide(quantizer, values)
        if found:
            return 'range', f'{name}{found}', _RANGES
        found = _outlier(quantizer, values)
        if found:
            return 'outlier channel', f'{name}{found}', _EQUALIZE
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


def _worst(parts: Mapping[str, float]) -> str:
    """The part that costs most; of a function, its result if that does half of it."""
    worst = max(parts, key=lambda part: parts[part], default='output')
    rounded = parts.get('output', 0.0)
    if worst == 'function' and rounded >= parts['function'] / 2:
        return 'output'
    return worst


def _quantized(
    site: str,
    plan: SitePlan,
    part: str,
    seen: Mapping[str, Statistics],
    record: RegionRecord | None,
) -> Iterator[tuple[str, QParams, Statistics]]:
    """What of a part is quantized: how it is called, how, and its float values."""
    if part == 'output' and site in seen:
        yield '', plan.output, seen[site]
    sources = record.sources.get(site, []) if record else []
    for position, quantizer in plan.inputs.items() if part == 'inputs' else ():
        source = sources[position] if position < len(sources) else None
        if source is not None and source in seen:
            yield f'operand {position}: ', quantizer, seen[source]


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
    # What is rounded to an end of the range is not clipped.
    near = q.scale / 2
    far = (centres < low - near) | (centres > high + near)
    outside = float(counts[far].sum())
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
    if not reach or width < WIDE * reach or steps >= 2**ENOUGH_BITS:
        return ''
    return (
        f'its range is {width / reach:.0f} times as wide as the values: they use '
        f'{steps:.0f} of {q.qmax - q.qmin} steps'
    )


def _outlier(q: QParams, seen: Statistics) -> str:
    if q.code_bits >= ENOUGH_BITS or seen.channel_minimum is None:
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
