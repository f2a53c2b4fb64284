"""Integers for a float model are refused by mm's own ways of loading."""

import os
import subprocess
import sys

import pytest
import tiny_models
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from iptq_mm.engine.loading.models import new_model
from iptq_mm.float_guard import guard_float_models
from iptq_mm.plan import PlanError

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def integers(vit_run):
    return str(vit_run.folder / 'integer.pth')


@pytest.fixture
def float_model(vit_run):
    return new_model(Config.fromfile(vit_run.config))


def test_load_checkpoint(float_model, integers):
    before = [p.clone() for p in float_model.parameters()]
    with pytest.raises(
        PlanError, match="integers for 'backbone'.*load it with the int"
    ):
        load_checkpoint(float_model, integers)
    assert all(map(torch.equal, before, float_model.parameters()))


def test_inside_a_wrapper(float_model, integers):
    wrapped = torch.nn.ModuleDict({'module': float_model})
    wrapped.module = float_model
    with pytest.raises(PlanError, match="integers for 'backbone'"):
        load_checkpoint(wrapped, integers)


def test_the_runner(vit_run, integers, tmp_path):
    from mmengine.runner import Runner

    cfg = Config.fromfile(vit_run.config)
    cfg.update(load_from=integers, work_dir=str(tmp_path), experiment_name='guard')
    with pytest.raises(PlanError, match="integers for 'backbone'"):
        Runner.from_cfg(cfg).test()


def test_other_checkpoints_are_loaded(float_model, vit_run):
    load_checkpoint(float_model, vit_run.checkpoint, strict=True)
    # Of another model: as mmengine has it.
    load_checkpoint(torch.nn.Linear(1, 1), str(vit_run.folder / 'integer.pth'))


def test_once_is_enough():
    from mmengine.runner import checkpoint

    before = checkpoint.load_state_dict
    guard_float_models()
    assert checkpoint.load_state_dict is before and before.guarded


LOAD = """
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_checkpoint
cfg = Config.fromfile('float.py')
init_default_scope('mmpretrain')
load_checkpoint(MODELS.build(cfg.model), 'integer.pth')
"""


@pytest.mark.slow
@pytest.mark.parametrize('imports', [[], ['iptq_mm']])
def test_mm_alone(imports, vit_run, tmp_path, tiny_data):
    """A float config that imports this package, or none, as mm's tools read it."""
    cfg = tiny_models.vit(tiny_data / 'classification')
    cfg.model.data_preprocessor = cfg.data_preprocessor
    cfg.custom_imports.imports = imports
    cfg.dump(tmp_path / 'float.py')
    (tmp_path / 'integer.pth').symlink_to(vit_run.folder / 'integer.pth')
    done = subprocess.run(
        # Imported before mmengine's runner, this package cannot guard it.
        [sys.executable, '-c', LOAD if imports else f'import iptq_mm\n{LOAD}'],
        cwd=tmp_path,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    if imports:
        assert done.returncode == 1 and 'PlanError' in done.stderr
    else:
        assert done.returncode == 0
        assert 'load them with the integer.py beside this file' in said
