"""The known input that lies beside an export, and the script that compares."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from program_cases import function_program

from iptq_mm.engine.export.known import known_inputs, write_known
from iptq_mm.program import run

onnx = pytest.importorskip('onnx', reason='pip install -r requirements/optional.txt')
pytest.importorskip('onnxruntime', reason='pip install -r requirements/optional.txt')


@pytest.fixture
def path(tmp_path):
    from iptq_mm.program.backends.onnx import export_onnx

    path = tmp_path / 'a model.onnx'
    export_onnx(function_program('i_gelu', {}), path)
    return path


def test_inputs_fill_their_ranges():
    program = function_program('i_gelu', {})
    (x,) = known_inputs(program)
    value = program.values[program.inputs[0].value]
    assert x.shape == value.shape and x.dtype == value.dtype
    width = value.high - value.low
    assert (
        int(x.min()) < value.low + width / 20 and int(x.max()) > value.high - width / 20
    )
    assert torch.equal(x, known_inputs(program)[0])
    assert not torch.equal(x, known_inputs(program, seed=1)[0])


@pytest.mark.slow
def test_the_script(path, tmp_path):
    """It says that all are the same, and how many are not where they are not."""
    program = function_program('i_gelu', {})
    arrays, script = write_known(program, path)
    assert (arrays.name, script.name) == ('a model_check.npz', 'a model_check.py')
    known = dict(np.load(arrays))
    assert np.array_equal(known['output_0'], run(program, known_inputs(program))[0])

    def ran():
        command = [sys.executable, script]
        return subprocess.run(command, cwd='/', capture_output=True, text=True)

    done = ran()
    size = known['output_0'].size
    said = 'integers that differ, by output: [{}] of [{}]\n'
    assert (done.returncode, done.stdout) == (0, said.format(0, size)), done.stderr
    known['output_0'].ravel()[:3] += 1
    np.savez(arrays, **known)
    done = ran()
    assert (done.returncode, done.stdout) == (1, said.format(3, size)), done.stderr
    assert len(script.read_text().splitlines()) < 16


def test_the_script_names_the_file(tmp_path):
    _, script = write_known(function_program('i_gelu', {}), tmp_path / 'model.bin')
    assert script.name == 'model_check.py'
    assert "with_name('model.bin')" in script.read_text()


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError):
        write_known(function_program('i_gelu', {}), tmp_path / 'file' / 'x.onnx')
