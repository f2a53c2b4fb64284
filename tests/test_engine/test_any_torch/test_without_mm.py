"""The core needs torch and mmengine alone."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

CODE = """
import sys

BLOCKED = 'mmcv', 'mmdet', 'mmpretrain'


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in BLOCKED:
            raise ModuleNotFoundError(f'{name} is blocked', name=name)


sys.meta_path.insert(0, Finder())
import iptq_mm
assert 'mmengine' not in sys.modules or 'mmengine.runner' not in sys.modules
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.up, self.down = (
            nn.LayerNorm(16), nn.Linear(16, 32), nn.Linear(32, 16))

    def forward(self, x):
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


torch.manual_seed(0)
data = [torch.randn(2, 5, 16) for _ in range(2)]
model = nn.Sequential(Block(), Block())
quantized = iptq_mm.quantize(model, data, backend=sys.argv[2] or None)
assert quantized.report['audit']['holds']
quantized.save(sys.argv[1])
again = iptq_mm.load(model, sys.argv[1])
with torch.no_grad():
    assert torch.equal(again.model(data[0]), quantized.model(data[0]))
assert not {name.partition('.')[0] for name in sys.modules} & set(BLOCKED)
print('ran without', *BLOCKED)
"""


def test_quantize_without_mm_packages(tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', CODE, str(tmp_path / 'm.pth'), 'native'],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert 'ran without mmcv mmdet mmpretrain' in done.stdout
