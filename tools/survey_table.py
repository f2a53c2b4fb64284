"""The page that ``tools/survey.py`` writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iptq_mm.utils.markdown import table

#: Findings about a model, from its JSON file.
Row = Mapping[str, Any]

HEADER = ['model', 'dB', 'region', 'float functions', 'native', 'speed', 'missing']
#: A model may be so many dB below the same linear layers with float functions.
MARGIN = 3.0
_INTRO = """# Models

Made by

```
python tools/survey.py --out docs/results/models.md
```

Small models (two blocks, images of 64 x 64, where the code permits) with random weights
from a seed; W8A8 with ranges from one batch of two to four samples, which is also what
is compared; the whole model is one region (of CLIP, its parts: it reads token ids).
These figures say what runs, not how accurate a trained model is.

- *dB*: signal to error of the worst output of the model against the float model.
- *region*: the same at the outputs of the region, all together, on its float inputs; of
  several, where it is furthest below the next column.
- *float functions*: beside that, the same quantized linear layers and products with
  float nonlinearities. A model is called worse than with float functions by these two.
- Of detectors (configs/detectors, made small), regions are the parts of the config.
- *native*: whether the C++ library returns the integers of the reference to the bit,
  and which nodes it leaves to the reference.
- *speed*: the time of the float model in eager mode over that of `native`, one thread,
  the fastest of 7 runs each. The machine was shared and busy, and such small models are
  mostly overhead: this is no benchmark.
"""


def page(rows: Mapping[str, Row]) -> str:
    """The page of all findings.

    Args:
        rows: By name, ``library/model``.
    """
    libraries = dict.fromkeys(name.partition('/')[0] for name in rows)
    parts = [_INTRO]
    for library in libraries:
        found = {
            name.partition('/')[2]: row
            for name, row in rows.items()
            if name.partition('/')[0] == library
        }
        lines = [line(name, row) for name, row in found.items()]
        body = table(HEADER, lines, align='lrrrlrl')
        parts.append(f'## {library}\n{summary(found)}\n\n{body}\n')
    return '\n'.join(parts)


def summary(rows: Mapping[str, Row]) -> str:
    """What was found in a library, in two sentences."""
    ran = [row for row in rows.values() if 'dB' in row]
    whole = [row for row in ran if row.get('equal') and not row['fallbacks']]
    below = [name for name, row in rows.items() if is_below(row)]
    lost = f'{", ".join(below)} ({MARGIN:g} dB or more' if below else 'none ('
    lost += ' below' if below else f'{MARGIN:g} dB or more below'
    return (
        f'{len(ran)} of {len(rows)} run in integers. In {len(whole)} of these, '
        '`native` gives the same integers and leaves nothing to the reference. '
        f'Worse than with float functions: {lost}).'
    )


def is_below(row: Row) -> bool:
    """Whether functions cost a model more than :data:`MARGIN`."""
    return 'dB' in row and row['compared dB'] < row['expected dB'] - MARGIN


def line(name: str, row: Row) -> list[str]:
    """The cells of a model."""
    cells = [name, *[''] * 5, row.get('missing', '')]
    if 'dB' in row:
        cells[1:4] = (f'{row[k]:.1f}' for k in ('dB', 'compared dB', 'expected dB'))
    if 'equal' in row:
        left = [f'{n} x {why}' for why, n in row['fallbacks'].items()]
        cells[4] = '; '.join(['equal' if row['equal'] else 'DIFFERENT', *left])
        cells[5] = f'{row["float ms"] / row["native ms"]:.1f}'
    return cells
