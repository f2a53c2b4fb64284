"""Fixtures of the folders whose tests run the C++ library."""

from collections.abc import Iterator

import pytest
import torch

from iptq_mm.native import library
from iptq_mm.native.build import compiler


def skip_without_library(items: list[pytest.Item]) -> None:
    """Skip the tests of folders named ``test_native`` on a machine without it.

    Raises:
        pytest.UsageError: If there is a compiler all the same.
    """
    if not library.available():
        if compiler():  # a mistake in the sources must not pass as a missing compiler
            raise pytest.UsageError('the library does not compile: see its error')
        for item in items:
            if 'test_native' in item.path.parts:
                item.add_marker(pytest.mark.skip('no C++ compiler, no library'))


@pytest.fixture(params=library.levels() if library.available() else ['none'])
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set that the CPU has, in use during the test."""
    previous = library.use_level(request.param)
    yield request.param
    library.use_level(previous)


@pytest.fixture
def three_threads() -> Iterator[None]:
    """More threads than the tasks of a small program can all use."""
    previous = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(previous)
