"""The Python package of the runtime: its wheel, and what it refuses."""

import os
import subprocess
import sys
import zipfile
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest
from iptq_runtime import Error, Library, Model
from program_cases import integers, vit_program

from iptq_mm.program import run
from iptq_mm.version import __version__

pytestmark = pytest.mark.slow
SOURCE = Path(__file__).parents[2] / 'runtime/python'
MOST_BYTES = 2_000_000
#: Run in a process whose path has the wheel and numpy alone.
SCRIPT = """
import sys
import numpy as np
import iptq_runtime
assert iptq_runtime.__file__.startswith(sys.argv[1]), iptq_runtime.__file__
with iptq_runtime.Model(sys.argv[2], threads=2) as model:
    (made,) = model(np.load(sys.argv[3]), integers=True)
np.save(sys.argv[4], made)
assert 'torch' not in sys.modules
"""


@pytest.fixture(scope='module')
def wheel(host, tmp_path_factory):
    """The wheel, built from the sources; without cmake ``host`` skips."""
    folder = tmp_path_factory.mktemp('wheel')
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps']
    command += ['--no-build-isolation', '-w', str(folder), str(SOURCE)]
    subprocess.run(command, check=True)
    (made,) = folder.glob('*.whl')
    return made


def test_wheel(wheel, vit_file, tmp_path):
    assert wheel.name.startswith(f'iptq_runtime-{__version__}-py3-none-linux')
    assert wheel.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / 'site')
    made = vit_program()
    (x,) = integers(made, 3)
    np.save(tmp_path / 'x.npy', x.numpy())
    files = [vit_file, tmp_path / 'x.npy', tmp_path / 'y.npy']
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path / 'site')}
    environment.pop('IPTQ_LIBRARY', None)
    command = [sys.executable, '-c', SCRIPT, str(tmp_path / 'site'), *map(str, files)]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    assert np.array_equal(np.load(tmp_path / 'y.npy'), run(made, [x])[0].numpy())


def test_no_library(tmp_path):
    with pytest.raises(Error, match='cannot be opened.*IPTQ_LIBRARY'):
        Library(tmp_path / 'libiptq.so')
    with pytest.raises(Error, match='is no libiptq.so'):
        Library(find_library('m'))


def test_mistakes(host, vit_file, tmp_path):
    library = Library(host / 'libiptq.so')
    with pytest.raises(Error, match='nothing.iptq'):
        Model(tmp_path / 'nothing.iptq', library=library)
    with Model(vit_file, library=library) as model:
        assert model.name and model.inputs[0].kind in ('real', 'pixels')
        with pytest.raises(Error, match='arrays of float64 are none of uint8'):
            model(np.zeros(model.inputs[0].shape))
    model.close()
    with pytest.raises(Error, match='is closed'):
        model(np.zeros(model.inputs[0].shape, np.float32))
