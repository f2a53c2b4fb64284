import json
import shutil
import sys

import fingerprint
import pytest
import torch

from iptq_mm.engine.export.program import export_program


@pytest.fixture
def folder(vit_run, tmp_path):
    """A copy of a work dir, with an exported program."""
    made = tmp_path / 'made'
    shutil.copytree(vit_run.folder, made)
    config, checkpoint = str(made / 'integer.py'), str(made / 'integer.pth')
    export_program(config, checkpoint, made / fingerprint.PROGRAM)
    return made


def test_the_same_model_has_the_same_fingerprint(folder):
    found = fingerprint.fingerprint(folder)
    assert found['tensors'] > 10 and found['nodes'] > 10 and len(found['outputs']) >= 1
    results = json.loads((folder / 'results.json').read_text())
    results['seconds'] = {'observe': 1e9}
    (folder / 'results.json').write_text(json.dumps(results))
    assert fingerprint.fingerprint(folder) == found


def test_one_bit_changes_it(folder):
    found = fingerprint.fingerprint(folder)
    state = torch.load(folder / 'integer.pth', weights_only=True)
    tensors = state.get('state_dict', state)
    name = next(n for n, x in tensors.items() if n.endswith('qkv.weight'))
    tensors[name].view(-1)[0] += 1
    torch.save(state, folder / 'integer.pth')
    changed = fingerprint.fingerprint(folder)
    assert {k for k in found if found[k] != changed[k]} == {'checkpoint'}
    plan = json.loads((folder / 'plan.json').read_text())
    plan['another'] = 0
    (folder / 'plan.json').write_text(json.dumps(plan))
    assert fingerprint.fingerprint(folder)['plan'] != found['plan']


def test_another_folder_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['fingerprint.py', str(tmp_path)])
    assert fingerprint.main() == 1
    assert 'integer.pth' in capsys.readouterr().err
