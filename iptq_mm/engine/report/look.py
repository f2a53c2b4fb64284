"""Where to look first: what the figures of a run point at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from .inputs import FEW, UNSEEN_DB, unlike
from .work_dir import WorkDir

#: A site that loses so many dB stands out.
_LOSES = 6.0
#: ... and costs something where no more dB than these are left.
_SOUND_DB = 30.0
#: A range clips too much if so large a share of the values lies outside; it is too wide
#: if it is so many times as wide as they are; a channel is an outlier if it reaches so
#: many times as far as the median one.
CLIPPED, WIDE, OUTLIER = 0.01, 8.0, 16.0
#: Values of so many bits or more have steps enough for all that.
ENOUGH_BITS = 10
#: Most entries.
_MOST = 5


def where_to_look(found: WorkDir, rows: Sequence[Mapping[str, Any]]) -> list[dict]:
    """What stands out, with what was seen.

    It is read off the figures that a run leaves; a diagnosis measures more.

    Args:
        found: The run.
        rows: Its sites, of :func:`.sites.site_rows`.

    Returns:
        Of each, ``where`` (a site, or the input of a region), ``cause`` and ``text``.
    """
    images = found.results.get('images') or {}
    calibrated = images.get('calibration')
    whole = list(_inputs(found, calibrated))
    middle = median([row['clipped_db'] for row in rows]) if rows else 0.0
    if calibrated is not None and calibrated < FEW and middle >= UNSEEN_DB:
        whole.append(
            _entry(
                '',
                'too few images',
                f'calibrated with {calibrated}, and at half of the layers, values of '
                f'the evaluation outside of their ranges add {middle:.1f} dB or more '
                f'to the error of rounding to 8 bits; take some dozens of images',
            )
        )
    readers = _worst_readers(rows)
    by_loss = []
    for row in rows:
        # What an outlier channel costs shows where its values are read.
        for near in (row, readers.get(row['name'])):
            if near is not None and _stands_out(near):
                causes = _causes(row) if near is row else _coarse(row)
                by_loss += [(near['lost_db'], _entry(row['name'], *c)) for c in causes]
                break
    by_loss.sort(key=lambda pair: -pair[0])
    return [*whole, *(entry for _, entry in by_loss)][:_MOST]


def _entry(where: str, cause: str, text: str) -> dict[str, str]:
    return {'where': where, 'cause': cause, 'text': text}


def _inputs(found: WorkDir, calibrated: int | None) -> Iterator[dict[str, str]]:
    """The first region whose inputs are of another kind than in calibration."""
    for region, now in (found.measured.get('inputs') or {}).items():
        record = found.records.get(region)
        before = record.values.get('input:0') if record else None
        seen = found.measured.get('images', 1)
        few = seen if calibrated is None else min(seen, calibrated)
        text = unlike(before, (now['mean'], now['std']), few) if before else ''
        if text:
            yield _entry(f'{region}:input:0', 'calibration images', text)
        return


def _worst_readers(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """By site, the one that reads its result and loses most."""
    worst: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        for source in (row['seen'] or {}).get('sources') or ():
            name = f'{row["region"]}:{source}'
            if name not in worst or (row['lost_db'] or 0) > (
                worst[name]['lost_db'] or 0
            ):
                worst[name] = row
    return worst


def _stands_out(row: Mapping[str, Any]) -> bool:
    """Whether a site loses much, and little is left."""
    lost, left = row['lost_db'], row['sqnr_db']
    return lost is not None and lost >= _LOSES and left <= _SOUND_DB


def _causes(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a site that loses much."""
    if row['function']:  # one that fails often clips, too
        yield 'function', _function(row, row['lost_db'])
    if row['clipped'] >= CLIPPED:
        yield (
            'range',
            f'{row["clipped"]:.1%} of its values lie outside of its range, by up to '
            f'{row["clipped_steps"]} steps',
        )
    yield from _coarse(row)
    if not row['function']:
        yield 'loss', f'it loses {row["lost_db"]:.1f} dB: see range, weights and inputs'


def _coarse(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Why the steps of its result are large, if it has few bits."""
    seen, q = row['seen'] or {}, row['range']
    if row['bits'] >= ENOUGH_BITS:
        return
    if 'low' in seen:
        reach = max(seen['high'], 0.0) - min(seen['low'], 0.0)
        width = q['high'] - q['low']
        if reach > 0 and width >= WIDE * reach:
            yield (
                'range',
                f'its range is {width / reach:.0f} times as wide as its values',
            )
    if (seen.get('outlier') or 0.0) >= OUTLIER:
        yield (
            'outlier channel',
            f'channel {seen["outlier_channel"]} reaches {seen["outlier"]:.0f} times as '
            'far as the median channel, and all share one scale',
        )


def _function(row: Mapping[str, Any], lost: float) -> str:
    """What a function loses, and what another one would."""
    tried = {
        c['name']: c['sqnr_db'] for c in row.get('candidates') or () if 'score' in c
    }
    own = tried.pop(row['function'], None)
    text = f'{row["function"]} loses {lost:.1f} dB'
    known = {name: db for name, db in tried.items() if db is not None}
    if own is not None and known:
        best = max(known, key=lambda name: known[name])
        if known[best] > own + 1:
            text += f'; {best} has {known[best]:.1f} dB on float inputs, it {own:.1f}'
    return text
