"""The integer program of a region: traced, read, saved, run by several back ends."""

from .backend import Backend, Runner
from .compiled import Compiled
from .deployed import Deployed
from .graph import Node, Port, Program, ProgramError, Value
from .native.backend import Native
from .onnx import Onnx
from .reference import Reference, run
from .session import Session, use_backend
from .store import load_program, save_program
from .trace import Traced, trace

__all__ = [
    'Backend',
    'Compiled',
    'Deployed',
    'Native',
    'Node',
    'Onnx',
    'Port',
    'Program',
    'ProgramError',
    'Reference',
    'Runner',
    'Session',
    'Traced',
    'Value',
    'load_program',
    'run',
    'save_program',
    'trace',
    'use_backend',
]
