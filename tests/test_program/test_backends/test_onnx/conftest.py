"""Tests of the ONNX models run where onnx and onnxruntime are installed."""

import importlib.util
from pathlib import Path

HERE = Path(__file__).resolve().parent
MISSING = [
    name for name in ('onnx', 'onnxruntime') if importlib.util.find_spec(name) is None
]
#: Modules that do without them.
ALONE = ('test_onnx_missing.py',)

collect_ignore = [
    path.name for path in HERE.glob('test_*.py') if MISSING and path.name not in ALONE
]


def pytest_terminal_summary(terminalreporter):
    if MISSING:
        terminalreporter.write_line(
            f'tests of ONNX models left out: {" and ".join(MISSING)} missing, '
            'pip install -r requirements/optional.txt'
        )
