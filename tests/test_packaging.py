"""What pip installs beside the package."""

import importlib.metadata
import re
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).resolve().parents[1] / 'requirements'


def names(lines):
    """Names of packages, without versions and comments."""
    found = (re.match(r'\w[\w-]*', line.strip()) for line in lines)
    return {match.group() for match in found if match}


@pytest.mark.parametrize('file', ['core', 'runtime'])
def test_requirements_of_the_package(file):
    # core.txt includes runtime.txt, which lies beside it.
    wanted = names((REQUIREMENTS / f'{file}.txt').read_text().splitlines())
    try:
        installed = importlib.metadata.requires('iptq_mm')
    except importlib.metadata.PackageNotFoundError:
        pytest.skip('iptq_mm is not installed here: pip install -e .')
    assert wanted and wanted <= names(r for r in installed if 'extra ==' not in r)
