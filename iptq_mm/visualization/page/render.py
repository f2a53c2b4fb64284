"""Fills the templates; all that a page needs is inside it.

The charts are drawn in the browser by Observable Plot and D3 (``vendor/``, as npm has
them, under their licences), from data that the page holds as JSON.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def render(template: str, **data: Any) -> str:
    """A page.

    Args:
        template: Name of a file in ``templates/``.
        **data: What the template names. ``data`` is what the script of the page gets.
    """
    return _environment().get_template(template).render(**data)


def exact(value: Any) -> str:
    """A number as JSON has it, to the last digit; other values as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return '–' if value is None else str(value)
    return json.dumps(value)


def figure(value: Any, digits: int = 2) -> str:
    """A number with so many digits after the point; a dash where there is none."""
    return '–' if value is None else f'{value:.{digits}f}'


def percent(value: Any, digits: int = 3) -> str:
    """A share in percent; nothing is 0."""
    if value is None:
        return '–'
    return '0' if not value else f'{100 * value:.{digits}f} %'


def size(count: Any) -> str:
    """A number of bytes in MB of a million."""
    return '–' if count is None else f'{count / 1e6:.2f} MB'


def as_json(value: Any) -> str:
    """JSON that may stand in a script element."""
    return safe_json(json.dumps(value, separators=(',', ':'), allow_nan=False))


def safe_json(text: str) -> str:
    """JSON text that no browser takes for the end of a script element."""
    return text.replace('<', '\\u003c')


@cache
def _environment() -> Any:
    # Imported here: most runs of the package draw no page.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_HERE / 'templates'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        exact=exact,
        figure=figure,
        percent=percent,
        size=size,
        json=lambda value: Markup(as_json(value)),
        verbatim=lambda text: Markup(safe_json(text)),
    )
    environment.globals['asset'] = lambda name: Markup(_asset(name))
    return environment


@cache
def _asset(name: str) -> str:
    """A file of the page, as it is."""
    return (_HERE / name).read_text(encoding='utf-8')
