"""Single figures and facts of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .work_dir import WorkDir

#: Facts of ``results.json`` that are shown as they are, by key.
_FACTS = (
    ('config', 'config'),
    ('checkpoint', 'float checkpoint'),
    ('device', 'device'),
    ('seed', 'seed'),
)


def cards(found: WorkDir) -> list[dict[str, str]]:
    """The figures at the top, each with a name, a value and a note."""
    results, made = found.results, []
    if results.get('agreement') is not None:
        made.append(_card('same top-1', f'{results["agreement"]:.2%}'))
    for name, value in (results.get('output_sqnr_db') or {}).items():
        made.append(_card(f'SQNR of output {name}', f'{value} dB'))
    bits = results.get('bits')
    if bits:
        short = f'W{bits["weight"]}A{bits["activation"]}'
        made.append(_card('bits', short, f'wide values {bits["wide"]}'))
    made += _size(results)
    made.append(_card('evaluation', speed(results)))
    clipped, total = results.get('saturated_values') or (0, 0)
    if total:
        made.append(
            _card('clipped values', f'{clipped / total:.4%}', f'{clipped} of {total}')
        )
    made.append(_audit(found.audit))
    return made


def _card(name: str, value: str, note: str = '') -> dict[str, str]:
    return {'name': name, 'value': value, 'note': note}


def _size(results: Mapping[str, Any]) -> list[dict[str, str]]:
    stored = (results.get('bytes') or {}).get('integer.pth')
    if stored is None:
        return []
    note, numbers = '', results.get('numbers')
    if numbers:
        floats = 4 * (numbers['integer'] + numbers['float'])
        note = f'{floats / stored:.1f} times smaller than its floats'
    return [_card('integer.pth', f'{stored / 1e6:.2f} MB', note)]


def _audit(audit: Mapping[str, Any] | None) -> dict[str, str]:
    if audit is None:
        return _card('audit', 'not made')
    if audit['holds']:
        return _card('audit', 'holds', 'integers only, no overflow')
    return _card('audit', 'does not hold', f'{len(audit["findings"])} findings')


def speed(results: Mapping[str, Any]) -> str:
    """Seconds for an image of both models, in the evaluation."""
    seconds = results.get('seconds') or {}
    images = (results.get('images') or {}).get('evaluation')
    if not images:
        shown = (f'{k} {seconds[k]} s' for k in ('float', 'integer') if k in seconds)
        return ', '.join(shown)
    shown = (
        f'{k} {1000 * seconds[k] / images:.3g} ms'
        for k in ('float', 'integer')
        if k in seconds
    )
    return ', '.join(shown) + ' an image'


def facts(found: WorkDir) -> list[tuple[str, str]]:
    """Names and values of what the figures are of."""
    results = found.results
    known = [
        (shown, str(results[key]))
        for key, shown in _FACTS
        if results.get(key) is not None
    ]
    images = results.get('calibration') or {}
    if images:
        sources = ', '.join(
            f'{part["name"]} ({part["images"]})' for part in images['data_sets']
        )
        told = f'{images["images"]} of {images["total"]}: {sources}'
        known.append(('calibration images', told))
    stored = (results.get('bits') or {}).get('parameters') or {}
    if stored:
        told = ', '.join(f'{n} of {bits} bits' for bits, n in stored.items())
        known.append(('parameters', told))
    known += [
        (f'SHA-256 of {name}', digest)
        for name, digest in (results.get('digest') or {}).items()
    ]
    floats = (results.get('float_identity') or {}).get('weights')
    if floats:
        known.append(('digest of the float weights', floats))
    known += [(name, str(v)) for name, v in (results.get('versions') or {}).items()]
    return known
