"""A headless Chromium that sees a folder, and what it asks for."""

import functools
import http.server
import shutil
import threading
import warnings
from contextlib import contextmanager

import pytest


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Nothing."""


@contextmanager
def served(folder):
    """Serve a folder; gives its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f'http://127.0.0.1:{server.server_address[1]}'
        finally:
            server.shutdown()
            thread.join()


def browser_missing():
    """What has to be installed; empty if nothing."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return 'browser: playwright missing: pip install playwright'
    if shutil.which('chromium') is None:
        return 'browser: chromium missing: apt install chromium'
    return ''


@contextmanager
def page_of(folder, **options):
    """A page that sees a folder: the page, its address, addresses that it asked for."""
    if browser_missing():
        warnings.warn(f'NOT TESTED: {browser_missing()}', stacklevel=2)
        pytest.skip(browser_missing())
    from playwright.sync_api import sync_playwright

    with served(folder) as address, sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which('chromium'), args=['--no-sandbox']
        )
        page = browser.new_page(**options)
        asked = []
        page.on('request', lambda request: asked.append(request.url))
        page.set_default_timeout(120_000)
        yield page, address, asked
        browser.close()
