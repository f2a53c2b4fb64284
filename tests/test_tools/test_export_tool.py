"""tools/export.py: its options, and what it says to wrong input."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from iptq_mm.native import library
from iptq_mm.program import Deployed
from iptq_mm.program.ir.interface import interface

onnxruntime = pytest.importorskip(
    'onnxruntime', reason='pip install -r requirements/optional.txt'
)
pytest.importorskip('onnx', reason='pip install -r requirements/optional.txt')

TOOL = Path(__file__).parents[2] / 'tools/export.py'

pytestmark = pytest.mark.usefixtures('one_thread')


def model_of(run):
    from mmengine.runner import load_checkpoint

    cfg = Config.fromfile(run.folder / 'integer.py')
    init_default_scope(cfg.default_scope)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    load_checkpoint(model, str(run.folder / 'integer.pth'), 'cpu')
    return model.eval()


def features(path, *reals):
    """What a file makes of real inputs."""
    session = onnxruntime.InferenceSession(path)
    about = session.get_modelmeta().custom_metadata_map
    feeds = {}
    for port, given, x in zip(
        json.loads(about['inputs']), session.get_inputs(), reals, strict=True
    ):
        q = np.rint(x.numpy().astype(np.float64) / port['scale'])
        kind = given.type.removeprefix('tensor(').rstrip(')')
        feeds[port['name']] = np.clip(q, port['low'], port['high']).astype(kind)
    scales = [np.float32(port['scale']) for port in json.loads(about['outputs'])]
    made = session.run(None, feeds)
    return [y.astype(np.float32) * s for y, s in zip(made, scales, strict=True)]


def test_one_program_of_backbone_and_head(tool, vit_run, tmp_path):
    config, checkpoint = vit_run.folder / 'integer.py', vit_run.folder / 'integer.pth'
    arguments = config, checkpoint, '--shape', 32, 32
    code, out, _ = tool(*arguments, '--out', 'vit.onnx')
    assert code == 0
    assert 'wrote backbone+head for inputs of [(1, 3, 32, 32)] to vit.onnx' in out
    said = 'channels: RGB\n  float32: normalized, (pixel - mean) / std, mean 127.5'
    assert said in out and 'its inputs and outputs are integers' in out
    about = onnxruntime.InferenceSession('vit.onnx').get_modelmeta()
    (port,) = json.loads(about.custom_metadata_map['inputs'])
    image = dict(channels='RGB', mean=[127.5] * 3, std=[64.0] * 3)
    assert port['image'] == image
    code, out, _ = tool(*arguments, '--out', 'vit.program', '--print')
    assert code == 0 and '\nprogram of backbone+head: ' in out
    told = tool(*arguments, '--out', 'vit.program', '--print', '--backend', 'native')
    kind = 'native program' if library.available() else 'program'
    assert f'\n{kind} of backbone+head: ' in told.out
    model = Deployed.load('vit.program', 'reference')
    assert said in out and out.endswith(f'{interface(model.program)}\n')
    assert model.program.inputs[0].image.to_dict() == image and said in repr(model)
    with pytest.raises(ValueError, match='255 are no normalized image'):
        model(torch.full((1, 3, 32, 32), 255.0))
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model = model_of(vit_run)
    expected = model.head(model.backbone(x)).detach()
    (made,) = features(tmp_path / 'vit.onnx', x)
    assert np.array_equal(made, expected.numpy())
    (made,) = Deployed.load(tmp_path / 'vit.program', 'reference')(x)
    assert torch.equal(made, expected)


def test_some_regions(tool, vit_run, tmp_path):
    config = vit_run.folder / 'integer.py'
    arguments = config, '--shape', 32, 32, '--out', 'p'
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model = model_of(vit_run)
    (middle,) = model.backbone(x)
    last = model.head((middle,)).detach()
    assert tool(*arguments, '--regions', 'backbone')[0] == 0
    assert torch.equal(Deployed.load('p', 'reference')(x)[0], middle.detach())
    assert tool(*arguments, '--regions', 'head')[0] == 0
    assert Deployed.load('p', 'reference').program.inputs[0].image is None
    assert torch.equal(Deployed.load('p', 'reference')(middle)[0], last)
    assert tool(*arguments, '--keep', 'backbone')[0] == 0
    found = Deployed.load('p', 'reference')(x)
    assert len(found) == 2 and torch.equal(found[0], middle.detach())
    assert torch.equal(found[1], last)


def test_mistakes(tool, vit_run, tmp_path):
    config = vit_run.folder / 'integer.py'

    def refused(*arguments):
        ran = tool(*arguments)
        assert ran.code == 1 and not list(tmp_path.rglob('x.onnx'))
        return ran.mistake

    line = refused(config, '--out', 'x.onnx', '--regions', 'neck')
    assert "no region 'neck': there are ['backbone', 'head']" in line
    line = refused(vit_run.config, '--out', 'x.onnx')
    assert 'no quantized region' in line and 'tools/quantize.py' in line
    line = refused(config, vit_run.checkpoint, '--out', 'x.onnx')
    assert 'no plan' in line
    assert 'missing.pth' in refused(config, 'missing.pth', '--out', 'x.onnx')
    assert 'missing.py' in refused('missing.py', '--out', 'x.onnx')
