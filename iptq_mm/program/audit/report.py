"""An audit as Markdown that reads well as plain text, and as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ...utils.markdown import table
from .model import ModelAudit
from .outside import FloatPart
from .programs import ProgramAudit


def markdown(audit: ModelAudit, name: str) -> str:
    """A report for people.

    Args:
        audit: What was found.
        name: What was audited.
    """
    lines = [f'# Audit of {name}', '', _verdict(audit), '', floats(audit), '']
    if audit.findings:
        lines += ['## What does not hold', '']
        rows = [(f.region, f.site, f.operation, f.problem) for f in audit.findings]
        lines += _table(('region', 'site', 'operation', 'problem'), rows)
    for program in audit.programs:
        lines += _region(program)
    lines += ['## What stays float', '']
    lines += _table(
        ('part', 'type', 'parameters', 'modules that ran', 'besides', 'operations'),
        [_part_row(part) for part in audit.outside],
    )
    return '\n'.join(lines)


def plain(audit: ModelAudit, name: str) -> dict[str, Any]:
    """The same as plain types, for JSON."""
    return {
        'name': name,
        'holds': audit.holds,
        'findings': [asdict(finding) for finding in audit.findings],
        'regions': [
            {
                'region': program.region,
                'inputs': [list(shape) for shape in program.inputs],
                'premises': [asdict(interval) for interval in program.premises],
                'holds': program.holds,
                'nodes': program.nodes,
                'operations': dict(program.census.operations),
                'bytes': dict(program.census.bytes),
                'aten': dict(program.operations),
                'sites': [asdict(site) for site in program.sites],
            }
            for program in audit.programs
        ],
        'outside': [asdict(part) for part in audit.outside],
        'floats': floats(audit),
        'macs': {'integer': audit.integer_macs, 'float': audit.float_macs},
        'parameters': {
            'integer': audit.integer_parameters,
            'float': audit.float_parameters,
        },
        'kept_float': audit.kept_float,
    }


def floats(audit: ModelAudit) -> str:
    """What share of the example and of the model stays float, in a line."""
    told = []
    for what, real, whole in (
        ('multiply-adds of the example', audit.float_macs, audit.integer_macs),
        ('parameters', audit.float_parameters, audit.integer_parameters),
    ):
        total = real + whole
        share = real / total if total else 0.0
        told.append(f'{real} of {total} {what} ({share:.2%})')
    return f'Float: {" and ".join(told)}.'


def _verdict(audit: ModelAudit) -> str:
    nodes = sum(sum(program.nodes.values()) for program in audit.programs)
    if audit.holds:
        kept = ', '.join(audit.kept_float)
        return (
            f'**Holds**: {nodes} nodes in {len(audit.programs)} programs compute with '
            'integers only, and none can overflow for any input.'
            + (f' **Kept float in between**: {kept}.' if kept else '')
        )
    return f'**Does not hold**: {len(audit.findings)} findings.'


def _region(program: ProgramAudit) -> list[str]:
    """All about one program."""
    shapes = ', '.join(
        f'{"x".join(map(str, shape))} in {interval}'
        for shape, interval in zip(program.inputs, program.premises, strict=True)
    )
    lines = [f'## Region {program.region} for input {shapes}', '']
    lines += _table(('node', 'count'), _falling(program.nodes))
    operations, stored = program.census.operations, program.census.bytes
    lines += _table(('operation of a call', 'count'), _falling(operations))
    lines += _table(('constants', 'bytes'), _falling(stored))
    lines += _table(('aten operation', 'calls'), _falling(program.operations))
    used = Counter(lemma for site in program.sites for lemma in site.lemmas)
    lines += _table(('lemma', 'sites'), _falling(used))
    lines += _products(program)
    rows = []
    for site in program.sites:
        bits = ', '.join(f'{n}/{width}' for width, n in sorted(site.widest.items()))
        constants = ', '.join(f'{k}={v}' for k, v in site.constants.items())
        rows.append((site.site, site.kind, site.function, bits, constants))
    header = ('site', 'kind', 'function', 'bits used', 'constants')
    return [*lines, *_table(header, rows)]


def _products(program: ProgramAudit) -> list[str]:
    """Where products may run in units for floats without ever rounding."""
    sums = [s.accumulator for s in program.sites if s.accumulator is not None]
    if not sums:
        return []
    single, double = (sum(n <= 2**bits for n in sums) for bits in (24, 53))
    return [
        f'Of {len(sums)} products, the partial sums of {single} stay within the 24-bit '
        f'significand of float32, of {double} within the 53 bits of float64: units for '
        f'floats compute them exactly. The largest is {max(sums)}.',
        '',
    ]


def _part_row(part: FloatPart) -> tuple:
    return (
        part.path or '(the model itself)',
        part.type,
        part.parameters,
        _counted(part.layers),
        ', '.join(part.helpers),
        _counted(part.operations),
    )


def _counted(counts: dict[str, int]) -> str:
    return ', '.join(f'{name} {n}' for name, n in _falling(counts))


def _falling(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """The lines of a table, numbers to the right; none without rows."""
    rows = list(rows)
    if not rows:
        return []
    columns = zip(*rows, strict=True)
    align = ['r' if all(isinstance(x, int) for x in c) else 'l' for c in columns]
    return [table(header, rows, ''.join(align), padded=True), '']
