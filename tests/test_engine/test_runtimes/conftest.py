"""A small model of integers with known outputs; onnx has to be there."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
MISSING = [
    name for name in ('onnx', 'onnxruntime') if importlib.util.find_spec(name) is None
]

collect_ignore = [path.name for path in HERE.glob('test_*.py') if MISSING]


def pytest_terminal_summary(terminalreporter):
    if MISSING:
        terminalreporter.write_line(
            f'tests of runtimes left out: {" and ".join(MISSING)} missing, '
            'pip install -r requirements/optional.txt'
        )


@pytest.fixture(scope='session')
def small(tmp_path_factory):
    """An exported program, with the files beside it."""
    from program_cases import function_program

    from iptq_mm.engine.export.known import write_known
    from iptq_mm.program.backends.onnx import export_onnx

    path = tmp_path_factory.mktemp('small') / 'small.onnx'
    program = function_program('i_gelu', {})
    export_onnx(program, path)
    write_known(program, path)
    return path
