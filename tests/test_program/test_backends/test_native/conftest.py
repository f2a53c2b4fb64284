"""Every test of a kernel runs with every instruction set that the CPU has."""

import pytest
import torch

from iptq_mm.native import library


def pytest_collection_modifyitems(items):
    if not library.available():
        for item in items:
            if 'test_native' in item.path.parts:
                item.add_marker(pytest.mark.skip('no C++ compiler, no library'))


@pytest.fixture(params=library.levels() if library.available() else ['none'])
def level(request):
    """An instruction set, in use during the test."""
    previous = library.use_level(request.param)
    yield request.param
    library.use_level(previous)


@pytest.fixture
def three_threads():
    """More threads than the tasks of a small program can all use."""
    previous = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(previous)
