"""Tools, run in the process of a test."""

import pytest
import scripts


@pytest.fixture(autouse=True)
def local_rank(monkeypatch):
    """The tool sets it for mmengine; other tests shall not see it."""
    monkeypatch.setenv('LOCAL_RANK', '0')


@pytest.fixture
def tool(request, monkeypatch, tmp_path, capsys):
    """Runs ``TOOL`` of the test's module, in a folder of the test's own."""
    module = scripts.as_module(request.module.TOOL)
    monkeypatch.chdir(tmp_path)
    return scripts.runner(module, monkeypatch, capsys)
