"""Every test of a kernel runs with every instruction set that the CPU has."""

from native_levels import level, skip_without_library, three_threads

__all__ = ['level', 'three_threads']


def pytest_collection_modifyitems(items):
    skip_without_library(items)
