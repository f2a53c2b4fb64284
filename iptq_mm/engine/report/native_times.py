"""The time of a native model by layer, beside what the machine can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ...program.runtime.step_times import native_programs, peak_macs, step_times

#: Why there is nothing to time.
NONE = 'No time by layer: the native back end (--backend native) did not run the model.'


def measure_native(model: nn.Module) -> dict[str, Any]:
    """The time of each step of the native programs that a model ran last.

    Args:
        model: The integer model.

    Returns:
        Empty where no region has a native program, else ``threads``, ``peak`` (what a
        large product of bytes reaches, in multiplications with additions in a second),
        ``inputs`` (shapes by region), and ``steps``: plain data of
        :class:`~iptq_mm.program.runtime.step_times.StepTime`, sites as ``region:site``.
    """
    programs = native_programs(model)
    if not programs:
        return {}
    steps = [
        {
            'region': region,
            'command': step.command,
            'sites': [f'{region}:{site}' for site in step.sites],
            'kinds': list(step.kinds),
            'macs': step.macs,
            'seconds': float(f'{step.seconds:.4g}'),
        }
        for region, program in programs.items()
        for step in step_times(program)
    ]
    return {
        'threads': torch.get_num_threads(),
        'peak': float(f'{peak_macs():.4g}'),
        'inputs': {
            region: [list(shape) for shape in program.program.input_shapes]
            for region, program in programs.items()
        },
        'steps': steps,
    }


def native_rows(native: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of a table: each step with its share of the time and of the peak.

    Args:
        native: See :func:`measure_native`.
    """
    steps = native.get('steps') or []
    total = sum(step['seconds'] for step in steps) or 1.0
    rows = []
    for number, step in enumerate(steps):
        speed = step['macs'] / step['seconds'] if step['seconds'] else 0.0
        rows.append(
            {
                **step,
                'number': number,
                'share': step['seconds'] / total,
                'gops': 2e-9 * speed if step['macs'] else None,
                'peak': speed / native['peak'] if step['macs'] else None,
            }
        )
    return rows


def native_sentence(native: Mapping[str, Any]) -> str:
    """What was timed, in words."""
    steps = native.get('steps') or []
    if not steps:
        return ''
    total = sum(step['seconds'] for step in steps)
    macs = sum(step['macs'] for step in steps)
    shapes = '; '.join(
        f'{region} {", ".join("x".join(map(str, s)) for s in inputs)}'
        for region, inputs in native['inputs'].items()
    )
    return (
        f'The quickest of several runs of each step by itself, on {native["threads"]} '
        f'thread{"s" if native["threads"] > 1 else ""}, for inputs of {shapes}: '
        f'{1000 * total:.3g} ms together, {2e-9 * macs / total:.3g} Gop/s, which is '
        f'{macs / total / native["peak"]:.0%} of what a large product of bytes reaches '
        f'here ({2e-9 * native["peak"]:.3g} Gop/s). Steps that compute several layers '
        'name them all.'
    )
