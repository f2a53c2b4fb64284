"""A headless Chromium, for tests that look at a page as a user does."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Where a browser may lie, if it is not on the path.
_NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')


def why_not() -> str:
    """Why there is no browser here; empty: there is one."""
    folder = os.environ.get('IPTQ_MM_PLAYWRIGHT')
    if folder and folder not in sys.path:
        sys.path.append(folder)
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return (
            'NO BROWSER TEST: pip install playwright, or name the folder that it is in '
            'as IPTQ_MM_PLAYWRIGHT'
        )
    if not any(map(shutil.which, _NAMES)):
        return 'NO BROWSER TEST: there is no Chromium (apt-get install chromium)'
    return ''


@contextmanager
def opened(path: Path, width: int = 1200, scheme: str = 'light') -> Iterator[Any]:
    """A page in the browser, with what it complained of and what it asked for.

    Args:
        path: HTML file.
        width: Of the window.
        scheme: ``light`` or ``dark``.

    Yields:
        Playwright's page; ``page.complaints`` and ``page.requests`` are lists.
    """
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, _NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=['--no-sandbox']
        )
        try:
            page = browser.new_page(
                color_scheme=scheme, viewport={'width': width, 'height': 900}
            )
            complaints, requests = [], []
            page.on('console', lambda x: complaints.append(f'{x.type}: {x.text}'))
            page.on('pageerror', lambda x: complaints.append(str(x)))
            page.on('request', lambda r: requests.append(r.url))
            page.complaints, page.requests = complaints, requests
            page.goto(path.as_uri())
            yield page
        finally:
            browser.close()


#: Contrast (WCAG 2) of every text that is shown with its ground, the worst first.
CONTRAST = """() => {
  const parse = (c) => {
    const m = c.match(/[\\d.]+/g).map(Number);
    return m.length < 4 ? [...m, 1] : m;
  };
  const part = (v) =>
    v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) =>
    0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c[3] > 0.99) return c;
    }
    return [255, 255, 255, 1];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.textContent.trim();
    const e = walk.currentNode.parentElement;
    const hidden = !e.getClientRects().length;
    if (!text || hidden || e.closest('script,style,noscript')) continue;
    const style = getComputedStyle(e);
    const ink = parse(e.closest('svg') ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(e))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), text.slice(0, 40)]);
  }
  return found.sort((x, y) => x[0] - y[0]).slice(0, 5);
}"""
