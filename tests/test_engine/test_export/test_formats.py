"""The format of a file: by its name, or by name."""

import pytest
from program_cases import vit_program

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.export.formats import format_of, write_program
from iptq_mm.program import load_program
from iptq_mm.program.backends.native.file.format import MAGIC


def test_the_end_of_the_name_decides():
    assert format_of('a/model.onnx') == 'onnx'
    assert format_of('model.iptq') == 'file'
    assert format_of('model.program') == format_of('model') == 'program'
    assert format_of('model.onnx', 'file') == 'file'


def test_an_unknown_format():
    with pytest.raises(ConfigError, match="no format 'exe': there are program, onnx"):
        format_of('model', 'exe')


def test_files_are_of_their_format(tmp_path):
    write_program(vit_program(), tmp_path / 'model.iptq')
    assert (tmp_path / 'model.iptq').read_bytes().startswith(MAGIC)
    write_program(vit_program(), tmp_path / 'model', 'program')
    assert str(load_program(tmp_path / 'model')) == str(vit_program())
