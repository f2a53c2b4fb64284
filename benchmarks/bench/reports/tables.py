"""Tables of what was measured, in Markdown."""

from __future__ import annotations

from statistics import median
from typing import Any

from iptq_mm.utils.markdown import table

from ..interleave import Spread, ratios, spread

#: The contender that the second ratio is about.
OURS = 'integer_native'

Entries = dict[str, dict[str, Any]]


def report(results: dict[str, Any]) -> str:
    """The whole of a run.

    Args:
        results: ``machine``, ``reference`` and ``cases``, as ``run.py`` writes them.
    """
    parts = [machine_lines(results['machine'])]
    parts += [case_table(case, results['reference']) for case in results['cases']]
    return '\n\n'.join([*parts, *summaries(results)]) + '\n'


def summaries(results: dict[str, Any]) -> list[str]:
    """Tables of all cases: ratios of several cases, memory where it was measured."""
    cases, tables = results['cases'], []
    if len(cases) > 1:
        tables.append(overview(cases, results['reference']))
    if any('memory' in e for c in cases for e in c['contenders'].values()):
        tables.append(growth(cases))
    return tables


def case_table(case: dict[str, Any], reference: str) -> str:
    """One case: all contenders against the reference, and native against them."""
    entries: Entries = case['contenders']
    columns = [
        'contender',
        'ms',
        f'times as fast as {reference}',
        f'{OURS} is times as fast',
        'SQNR, dB',
        'ready after, s',
    ]
    rows = []
    for name, entry in entries.items():
        if 'seconds' not in entry:
            rows.append([name, f'- ({entry.get("missing") or entry.get("wrong")})'])
            continue
        rows.append(
            [
                name,
                f'{1000 * median(entry["seconds"]):.2f}',
                _ratio(entries, reference, name),
                _ratio(entries, name, OURS),
                '-' if entry['sqnr'] is None else f'{entry["sqnr"]:.1f}',
                f'{entry["ready"]:.1f}',
            ]
        )
    text = f'## {case["case"]}\n' + table(columns, rows)
    if case['functions']:
        counts = sorted(case['functions'].items())
        text += '\n\nFunctions: ' + ', '.join(f'{n} {name}' for name, n in counts) + '.'
    return text


def overview(cases: list[dict[str, Any]], reference: str) -> str:
    """All cases: median ratios to the reference."""
    names = _names(cases)
    rows = []
    for case in cases:
        entries: Entries = case['contenders']
        found = (_spread(entries, reference, name) for name in names)
        rows.append([case['case'], *(f'{s.median:.2f}' if s else '-' for s in found)])
    head = f'## Times as fast as {reference}, medians\n'
    return head + table(['case', *names], rows)


def growth(cases: list[dict[str, Any]]) -> str:
    """All cases: milliseconds and megabytes."""
    names = _names(cases)
    rows = []
    for case in cases:
        entries: Entries = case['contenders']
        rows.append([case['case'], *(_cell(entries.get(name, {})) for name in names)])
    return '## Time and resident memory, ms / MB\n' + table(['case', *names], rows)


def _cell(entry: dict[str, Any]) -> str:
    if 'seconds' not in entry:
        return '-'
    memory = entry.get('memory')
    used = f' / {memory["running"]:.0f}' if memory else ''
    return f'{1000 * median(entry["seconds"]):.1f}{used}'


def _names(cases: list[dict[str, Any]]) -> list[str]:
    """Contenders that were measured anywhere."""
    found = (n for c in cases for n, e in c['contenders'].items() if 'seconds' in e)
    return list(dict.fromkeys(found))


def _ratio(entries: Entries, reference: str, name: str) -> str:
    found = _spread(entries, reference, name)
    if found is None or reference == name:
        return '-'
    return f'{found.low:.2f} / **{found.median:.2f}** / {found.high:.2f}'


def _spread(entries: Entries, reference: str, name: str) -> Spread | None:
    pair = [entries.get(n, {}).get('seconds') for n in (reference, name)]
    return spread(ratios(*pair)) if all(pair) else None  # type: ignore[arg-type]


def machine_lines(facts: dict[str, Any]) -> str:
    """What a run was made on, and how to read its ratios."""
    versions = ', '.join(f'{k} {v}' for k, v in facts['versions'].items())
    return '\n'.join(
        [
            f'{facts["cpu"]}, {facts["cores"]} cores ({", ".join(facts["flags"])}); '
            f'{facts["threads"]} threads; load before: {facts["load"][0]}.',
            f'{facts["platform"]}, Python {facts["python"]}, {versions}.',
            f'Native kernels: {facts["native"]}. {facts["date"]}.',
            '',
            'Ratios by round: 10 % / **median** / 90 %.',
        ]
    )
