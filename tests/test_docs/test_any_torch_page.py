"""docs/any-torch-model.md: its Python runs as it stands there."""

import re
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs/any-torch-model.md').read_text(encoding='utf-8')


def test_the_lines_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    blocks = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)
    assert len(blocks) == 2
    scope = {}
    for block in blocks:
        exec(block, scope)
    assert len(blocks[-1].strip().splitlines()) == 5
    assert "{'output:0':" in capsys.readouterr().out
    assert scope['quantized'].report['decibels']['output:0'] > 25
    x = scope['batches'][1]
    assert torch.equal(scope['again'].model(x), scope['quantized'].model(x))


def test_presets_of_the_page():
    for name in re.findall(r'`(w\da\d)`', PAGE):
        assert (ROOT / f'configs/_base_/quantization/{name}.py').is_file()
    for path in re.findall(r'python (benchmarks/\S+)', PAGE):
        assert (ROOT / path).is_file()
