"""runtime/check.py in short: the integers of Python, of this machine and of C."""

import shutil
from pathlib import Path

import pytest
import torch
from runtime_checks.comparing import stacked
from runtime_checks.machines import Machine, machines
from scripts import as_module, runner

CHECK = Path(__file__).resolve().parents[2] / 'runtime' / 'check.py'


def compared(made):
    """The lines of a run that have a digest."""
    return [line for line in made.out.splitlines() if ' images, ' in line]


@pytest.fixture
def check(vit_run, monkeypatch, capsys):
    """The script as a module, and a call of it on images of the tiny ViT."""
    module = as_module(CHECK)
    run = runner(module, monkeypatch, capsys)
    return module, lambda *options: run(vit_run.folder / 'integer.py', *options)


def test_one_digest(check, host, c_compiler):
    _, run = check
    made = run('--images', '3', '--targets', 'host', 'c')
    lines = compared(made)
    digests = {line.split('images, ')[1].split()[0] for line in lines}
    assert made.code == 0 and len(digests) == 1
    assert lines[0].startswith('Python, native: 3 images')
    assert lines[1].startswith('host, ') and lines[-1].startswith('c: 3 images')


def test_some_levels(check, host):
    _, run = check
    made = run('--images', '1', '--targets', 'host', '--levels', 'portable')
    assert made.code == 0
    assert [line.split(':')[0] for line in compared(made)[1:]] == ['host, portable']
    made = run('--images', '1', '--targets', 'host', '--levels', 'unknown')
    assert made.code == 1 and 'nothing was compared' in made.out


def test_another_digest(check, monkeypatch):
    """One integer of one image is another one."""

    def others(program, inputs):
        made = wanted(program, inputs)
        made[0].flat[-1] ^= 1
        return made

    def wanted(program, inputs):
        native = module.NativeProgram(program)
        calls = []
        for given in zip(*inputs, strict=True):
            made = native.run([torch.from_numpy(x) for x in given])
            calls.append([x.numpy() for x in made])
        return stacked(calls)

    module, run = check
    found = [Machine('one', True, wanted), Machine('other', False, others)]
    monkeypatch.setattr(module, 'machines', lambda names, levels: found)
    made = run('--images', '3', '--emulated-images', '2')
    assert made.code == 1
    _, one, other = compared(made)
    assert one.startswith('one: 2 images') and 'OTHERS' not in one
    assert other.startswith('other: 3 images') and 'OTHERS' in other


def test_what_is_missing_is_said_aloud(monkeypatch, capsys):
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    assert list(machines(['aarch64', 'c'])) == []
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith('LEFT OUT: aarch64: cmake, aarch64-linux-gnu-g++')
    assert said[1] == 'LEFT OUT: c: gcc missing: apt install gcc'


def test_nothing_compared_is_no_success(check, monkeypatch):
    module, run = check
    monkeypatch.setattr(module, 'machines', lambda names, levels: [])
    made = run('--images', '1')
    assert made.code == 1 and 'nothing was compared' in made.out
