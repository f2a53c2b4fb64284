"""The runtime's integers are the reference's: all machines, all instruction sets."""

import subprocess

import numpy as np
import pytest
from native_cases import extremes
from program_cases import integers
from runtime_cases import all_cases, single_nodes, vit_program, written
from runtime_checks.comparing import digest, predicted

from iptq_mm.program import run

pytestmark = pytest.mark.slow


def agree(command, made, path, level=''):
    """Make sure that ``iptq-run`` gives the reference's integers."""
    options = ['--isa', level] if level else []
    batches = [integers(made, 0), extremes(made, 1)]
    wanted = [[x.numpy() for x in run(made, batch)] for batch in batches]
    given = [np.stack([x.numpy() for x in port]) for port in zip(*batches, strict=True)]
    expected = [np.stack(port) for port in zip(*wanted, strict=True)]
    found = predicted(command, path, given, each=True, options=options)
    assert digest(found) == digest(expected), level


def levels(command):
    """The instruction sets of a machine."""
    return subprocess.check_output([*command, '--levels'], text=True).split()


def test_all_programs_on_this_machine(host, tmp_path):
    command = [str(host / 'iptq-run')]
    for name, made in all_cases():
        path = written(made, tmp_path / f'{name}.iptq')
        for level in levels(command):
            agree(command, made, path, level)


def test_other_machines(emulated, tmp_path):
    """A model, and each kind of node, in one process of the emulator each."""
    for name, made in [('vit', vit_program()), *single_nodes()]:
        path = written(made, tmp_path / f'{name}.iptq')
        for level in levels(emulated):
            agree(emulated, made, path, level)


def test_a_difference_is_found():
    one = np.arange(6, dtype=np.int8)
    assert digest([one]) == digest([one.copy()])
    assert digest([one]) != digest([one.astype(np.int16)])
    assert digest([one]) != digest([one.reshape(2, 3)])
    assert digest([one]) != digest([one[::-1]])
