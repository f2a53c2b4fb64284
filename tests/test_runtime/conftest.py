"""The runtime, built once; what it needs and does not find is said aloud."""

import warnings

import pytest
from program_cases import vit_program
from runtime_cases import written
from runtime_checks import c_file
from runtime_checks.targets import SANITIZED, TARGETS


def needed(missing):
    """The test is skipped, with a warning, if something is missing."""
    if missing:
        warnings.warn(f'NOT TESTED: {missing}', stacklevel=3)
        pytest.skip(missing)


def built(target):
    """The build of a target; the test is skipped without its tools."""
    needed(target.missing())
    return target.build()


@pytest.fixture
def c_compiler():
    """What compiles files of C."""
    needed(c_file.missing())


@pytest.fixture(scope='session')
def host():
    """The build for this machine."""
    return built(TARGETS['host'])


@pytest.fixture(scope='session')
def sanitized():
    """The same under sanitizers, with the fuzzer."""
    return built(SANITIZED)


@pytest.fixture(scope='session')
def webassembly():
    """The package of JavaScript."""
    return built(TARGETS['wasm'])


@pytest.fixture(scope='session')
def aarch64():
    """The build for 64-bit ARM."""
    return built(TARGETS['aarch64'])


@pytest.fixture(params=[name for name in TARGETS if name != 'host'])
def emulated(request):
    """How ``iptq-run`` of another machine is called."""
    target = TARGETS[request.param]
    return target.command(built(target))


@pytest.fixture(scope='session')
def vit_file(tmp_path_factory):
    """The file of a small ViT."""
    return written(vit_program(), tmp_path_factory.mktemp('runtime') / 'vit.iptq')
