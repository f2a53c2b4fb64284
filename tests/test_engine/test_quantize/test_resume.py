"""An interrupted quantization goes on where it was."""

import pytest
import torch
from mmengine.config import Config

from iptq_mm.engine.quantize import phases
from iptq_mm.engine.quantize.state import State, state_key
from iptq_mm.engine.run.pipeline import quantize_and_compare

pytestmark = pytest.mark.usefixtures('one_thread')


class Interrupted(Exception):
    pass


@pytest.fixture
def interrupted(vit_run, tmp_path, monkeypatch):
    """A work dir whose run ended in the analysis."""

    def fail(*args):
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(phases, 'analyse', fail)
        with pytest.raises(Interrupted):
            quantize_and_compare(vit_run.config, work_dir=str(tmp_path))
    return tmp_path


@pytest.fixture
def observed(monkeypatch):
    """How often the observing phase ran."""
    calls = []
    original = phases.observe

    def observe(*args):
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(phases, 'observe', observe)
    return calls


def _log(folder):
    return ''.join(p.read_text() for p in folder.rglob('*.log'))


def test_goes_on_after_the_last_phase(vit_run, interrupted, observed):
    assert sorted(p.name for p in interrupted.iterdir() if p.is_file()) == [
        'calibration.pth',
        'vit0.py',
    ]
    results = quantize_and_compare(
        vit_run.config, work_dir=str(interrupted), resume=True
    )
    assert not observed
    assert 'resuming after observe' in _log(interrupted)
    assert _same_files(interrupted, vit_run.folder)
    assert results['integer'] == vit_run.results['integer']
    assert 'observe' in results['seconds']


def test_nothing_is_left_to_calibrate(vit_run, tmp_path, observed, monkeypatch):
    quantize_and_compare(vit_run.config, work_dir=str(tmp_path))
    first = (tmp_path / 'plan.json').read_text()
    monkeypatch.setattr(phases, 'analyse', None)
    quantize_and_compare(vit_run.config, work_dir=str(tmp_path), resume=True)
    assert len(observed) == 1
    assert (tmp_path / 'plan.json').read_text() == first


def test_starts_anew_unless_asked(vit_run, interrupted, observed):
    quantize_and_compare(vit_run.config, work_dir=str(interrupted))
    assert len(observed) == 1


def test_other_settings(vit_run, interrupted, observed):
    options = {'quantization.weight.bits': 6}
    quantize_and_compare(
        vit_run.config, work_dir=str(interrupted), resume=True, cfg_options=options
    )
    assert len(observed) == 1
    assert 'was made with other settings: starting anew' in _log(interrupted)


def test_other_images(vit_run, interrupted, observed):
    options = {'randomness.seed': 8}
    quantize_and_compare(
        vit_run.config, work_dir=str(interrupted), resume=True, cfg_options=options
    )
    assert len(observed) == 1
    assert 'was made with other images: starting anew' in _log(interrupted)


def test_other_weights(vit_run, interrupted, observed):
    checkpoint = torch.load(vit_run.checkpoint, weights_only=True)
    checkpoint['state_dict']['backbone.ln1.bias'] += 1
    torch.save(checkpoint, interrupted / 'other.pth')
    quantize_and_compare(
        vit_run.config,
        str(interrupted / 'other.pth'),
        work_dir=str(interrupted),
        resume=True,
    )
    assert len(observed) == 1
    assert 'was made with other weights: starting anew' in _log(interrupted)


@pytest.mark.parametrize('content', [b'', b'no checkpoint', None, {'seconds': {}}])
def test_damaged_state(vit_run, interrupted, observed, content):
    path = interrupted / 'calibration.pth'
    if isinstance(content, dict):
        torch.save(content, path)
    else:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    quantize_and_compare(vit_run.config, work_dir=str(interrupted), resume=True)
    assert len(observed) == 1
    log = _log(interrupted)
    assert 'calibration.pth: cannot be read, it is damaged' in log
    assert _same_files(interrupted, vit_run.folder)


def test_nothing_to_resume(vit_run, tmp_path, observed):
    options = {'quantization.calibration.num_images': 2}
    quantize_and_compare(
        vit_run.config, work_dir=str(tmp_path), resume=True, cfg_options=options
    )
    assert len(observed) == 1


def test_state_survives_a_failing_write(tmp_path, monkeypatch):
    state = State(tmp_path / 'state.pth', {'settings': 'a'}, resume=False)
    state.finish('observe', 1.234)
    monkeypatch.setattr(torch, 'save', lambda data, path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        state.finish('analyse', 1.0)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ['state.pth']
    again = State(tmp_path / 'state.pth', {'settings': 'a'}, resume=True)
    assert again.seconds == {'observe': 1.23}


def test_parts_that_have_learned_are_kept_for_their_settings(tmp_path):
    """Another reconstruction starts anew; the phases before it do not."""
    path, key = tmp_path / 'state.pth', {'settings': 'a'}
    state = State(path, key, False, 'epochs=1')
    state.finish('observe', 1.0)
    state.learned['backbone.layers.0'] = {'w': torch.tensor([1, -7], dtype=torch.int8)}
    state.save('a part')
    again = State(path, key, True, 'epochs=1')
    (learned,) = again.learned.values()
    assert learned['w'].tolist() == [1, -7] and learned['w'].dtype == torch.int8
    other = State(path, key, True, 'epochs=2')
    assert not other.learned and other.seconds == {'observe': 1.0}
    assert not State(path, {'settings': 'b'}, True, 'epochs=1').learned


def test_weights_that_are_rounded_are_kept(tmp_path):
    path, key = tmp_path / 'state.pth', {'settings': 'a'}
    state = State(path, key, False)
    state.rounded['digest'] = {'codes': torch.tensor([1, -7], dtype=torch.int8)}
    state.save('a weight')
    assert State(path, key, True).rounded['digest']['codes'].tolist() == [1, -7]
    old = torch.load(path, weights_only=True)
    del old['rounded']  # of a version before
    torch.save(old, path)
    assert State(path, key, True).rounded == {}


def test_key_takes_in_every_tensor():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    first = state_key(model, '', '')
    assert first == state_key(model, '', '')
    model[1].num_batches_tracked += 1
    assert first['weights'] != state_key(model, '', '')['weights']
    model = model.to(torch.bfloat16)
    assert len(state_key(model, '', '')['weights']) == 64


def _same_files(a, b):
    return (a / 'plan.json').read_text() == (b / 'plan.json').read_text() and (
        Config.fromfile(a / 'integer.py').model
        == Config.fromfile(b / 'integer.py').model
    )
