"""Lists of settings of the tiny ViT, loaded and compared."""

import copy
from pathlib import Path

import pytest

from iptq_mm.engine.sweep import Sweep, load_settings, results


@pytest.fixture
def listed(vit_run, tmp_path):
    """Loads a list of settings of the tiny ViT."""

    def load(text, base=True, **arguments):
        path = tmp_path / 'list.py'
        head = f'base = {vit_run.config!r}\n' if base else ''
        path.write_text(head + text)
        return load_settings(path, **arguments)

    return load


@pytest.fixture
def compared(listed, tmp_path):
    """Compares the settings of a list; what was said about each row."""

    def run(text, **arguments):
        said = []
        comparison = Sweep(listed(text), tmp_path / 'out', 'the command', said.append)
        return comparison.run(**arguments), said

    return run


@pytest.fixture
def measured(vit_run, monkeypatch):
    """Names of the settings that ran; their results are the tiny ViT's."""
    names = []

    def run(config, **arguments):
        names.append(Path(config).parent.name)
        return copy.deepcopy(vit_run.results)

    monkeypatch.setattr(results, 'quantize_and_compare', run)
    return names
