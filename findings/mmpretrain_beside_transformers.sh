#!/usr/bin/env bash
# With transformers installed, a ViT of MMPretrain cannot be built.
#
# MMPretrain has optional models of text and images, which use transformers. Without it,
# they are placeholders, and everything else works.
#
# Expected: with transformers installed, the same or more works.
# Happens:  with transformers 5, which lacks a function that these models import, no model
#           of MMPretrain can be imported, those that have nothing to do with it included:
#           TypeError: NoneType takes no arguments. transformers is not named.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
pip="$folder/venv/bin/pip"
"$pip" install -q numpy==2.2.6 setuptools==80.9.0 wheel==0.45.1 psutil==7.0.0 torch==2.13.0 torchvision==0.28.0
# Without operators of its own, which take long to compile and are not used here.
MMCV_WITH_OPS=0 "$pip" install -q --no-build-isolation onedl-mmcv==2.3.6
"$pip" install -q onedl-mmengine==0.10.12 onedl-mmpretrain==1.3.6 pycocotools==2.0.10
cd "$folder"
cat > build.py <<'PYTHON'
import importlib.metadata
import importlib.util
import sys

import torch

try:
    import torchvision
except RuntimeError:  # a file for GPUs beside a torch without: it has other operators
    for name in [n for n in sys.modules if n.partition('.')[0] == 'torchvision']:
        del sys.modules[name]
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for name in ('nms', 'qnms'):
        library.define(f'{name}(Tensor boxes, Tensor scores, float iou) -> Tensor')
beside = 'nothing'
if importlib.util.find_spec('transformers'):
    beside = f'transformers {importlib.metadata.version("transformers")}'
try:
    from mmpretrain.models import VisionTransformer

    happens = type(VisionTransformer(arch='deit-tiny', img_size=32)).__name__
except TypeError as error:
    happens = f'TypeError: {error}'
print(f'beside {beside}: expected VisionTransformer, happens {happens}')
raise SystemExit(happens != 'VisionTransformer')
PYTHON
venv/bin/python -W ignore build.py
"$pip" install -q transformers==5.24.0
if venv/bin/python -W ignore build.py; then
  echo 'it has changed'
  exit 1
fi
