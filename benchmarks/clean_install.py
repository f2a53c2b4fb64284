"""Install the package beside torch alone, and quantize models of timm and transformers.

    python benchmarks/clean_install.py DIR

makes a virtual environment in ``DIR``, installs torch and this package as a user would,
then timm and transformers, and runs the five lines of docs/any-torch-model.md on a
model of each (random weights, so that nothing is fetched). It ends with an error if one
of mm's packages but mmengine is there. A few minutes; pip downloads what it lacks.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: The first lines of each program: what must not be there.
ALONE = """
import importlib.util
import iptq_mm
import torch

found = [n for n in ('mmcv', 'mmdet', 'mmpretrain') if importlib.util.find_spec(n)]
assert not found, f'these are installed, too: {found}'
torch.manual_seed(0)
"""
#: What the five lines quantize, by library: a model and batches of it.
MODELS = {
    'torch': """
model = torch.nn.Sequential(
    torch.nn.LayerNorm(16), torch.nn.Linear(16, 32), torch.nn.GELU(),
    torch.nn.Linear(32, 16)).eval()
batches = [torch.randn(4, 5, 16) for _ in range(4)]
""",
    'timm': """
import timm
model = timm.create_model(
    'vit_tiny_patch16_224', img_size=64, depth=2, num_classes=10).eval()
batches = [torch.randn(4, 3, 64, 64) for _ in range(4)]
""",
    'transformers': """
from transformers import BertConfig, BertModel
config = BertConfig(
    hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128)
model = BertModel(config, add_pooling_layer=False).eval()
ids = torch.randint(1, 30000, (4, 12))
mask = torch.ones_like(ids)
mask[1, 8:] = 0
batches = [dict(input_ids=ids.roll(i, 1), attention_mask=mask) for i in range(4)]
""",
}
FIVE_LINES = """
quantized = iptq_mm.quantize(
    model, batches, regions={regions!r}, preset='w8a8', backend={backend!r})
outputs = quantized(batches[0])
print({name!r}, quantized.report['decibels'])
quantized.save('model.pth')
again = iptq_mm.load(model, 'model.pth', backend={backend!r})
assert quantized.report['audit']['holds']
assert min(quantized.report['decibels'].values()) > 15
"""


def program(name: str, backend: str | None = 'native') -> str:
    """What runs in the environment: the five lines on a model.

    Args:
        name: A key of :data:`MODELS`.
        backend: What runs the integers.
    """
    # BERT of transformers reads its mask by itself: embeddings and encoder are regions.
    regions = 'auto' if name == 'transformers' else None
    lines = FIVE_LINES.format(name=name, backend=backend, regions=regions)
    return ALONE + MODELS[name] + lines


def main() -> int:
    """Make the environment and run the programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='of the new environment')
    parser.add_argument('--torch', default='torch', help='what pip installs for torch')
    args = parser.parse_args()
    folder = args.folder.resolve()
    python = folder / ('Scripts' if os.name == 'nt' else 'bin') / 'python'
    install = [python, '-m', 'pip', 'install', '-q']
    _run(sys.executable, '-m', 'venv', folder)
    _run(*install, args.torch)
    _run(*install, ROOT)
    _run(python, '-c', program('torch'), cwd=folder)
    _run(*install, 'timm', 'transformers')
    for name in ('timm', 'transformers'):
        _run(python, '-c', program(name), cwd=folder)
    print('all of it works without mmcv, mmdet and mmpretrain')
    return 0


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    # The environment is all that counts: no path of the caller's.
    environ = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    subprocess.run([*map(str, command)], check=True, cwd=cwd, env=environ)


if __name__ == '__main__':
    sys.exit(main())
