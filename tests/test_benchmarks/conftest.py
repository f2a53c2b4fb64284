"""The modules of benchmarks/, and a tiny network that they measure."""

import sys
from pathlib import Path

import pytest
import tiny_models

FOLDER = Path(__file__).parents[2] / 'benchmarks'
sys.path.insert(0, str(FOLDER))


@pytest.fixture(scope='session')
def tiny_config(tmp_path_factory):
    """Path of the config of a ViT with two blocks, quantized with its head."""
    folder = tmp_path_factory.mktemp('benchmarks')
    path, _ = tiny_models.write(tiny_models.vit(folder, dims=32), folder, 'tiny')
    return path


@pytest.fixture(scope='session')
def tiny_case(tiny_config):
    """The case of two of its images."""
    from bench.cases import Case

    return Case(f'{tiny_config}:32x32:b2')
