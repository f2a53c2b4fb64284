"""The integer program of a region: traced, read, saved, run by several back ends."""

from .backends.base import Backend, Executable
from .backends.compiled.backend import Compiled
from .backends.native.backend import Native
from .backends.onnx import Onnx
from .backends.reference import Reference, run
from .ir.graph import Node, Port, Program, ProgramError, Value
from .ir.store import load_program, save_program
from .runtime.deployed import Deployed
from .runtime.out_of_range import out_of_range
from .runtime.session import Session, use_backend
from .runtime.watch import EVERY, OutOfCalibrationWarning
from .tracing.trace import Traced, trace

__all__ = [
    'Backend',
    'EVERY',
    'Compiled',
    'Deployed',
    'Executable',
    'Native',
    'Node',
    'Onnx',
    'OutOfCalibrationWarning',
    'Port',
    'Program',
    'ProgramError',
    'Reference',
    'Session',
    'Traced',
    'Value',
    'load_program',
    'out_of_range',
    'run',
    'save_program',
    'trace',
    'use_backend',
]
