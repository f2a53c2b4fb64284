"""A server, and no other network."""

import pytest
from file_server import serving

from iptq_mm.engine.zoo import download as downloading


@pytest.fixture
def server(monkeypatch):
    """A server on this machine; attempts follow one another without a pause."""
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(downloading, 'PAUSE', 0)
    with serving() as running:
        yield running
