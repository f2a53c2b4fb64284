"""Tools, run in the process of a test."""

import pytest
import scripts


@pytest.fixture
def tool(request, monkeypatch, tmp_path, capsys):
    """Runs ``TOOL`` of the test's module, in a folder of the test's own."""
    module = scripts.as_module(request.module.TOOL)
    monkeypatch.chdir(tmp_path)
    return scripts.runner(module, monkeypatch, capsys)
