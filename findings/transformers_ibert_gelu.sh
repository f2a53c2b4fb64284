#!/usr/bin/env bash
# The GELU of I-BERT is worse than nothing for 8-bit inputs.
#
# IntGELU of transformers' I-BERT takes integers and their scale, of any width. I-BERT
# itself gives it accumulators of about 20 bits and more.
#
# Expected: with 8 bits, a coarser GELU: the rounding of the input alone leaves an SQNR
#           of 48 dB.
# Happens:  its code divides by the constant 2**14, after which nothing is left of the
#           11 bits that a square has then: -14 dB, an error of 25 times the power of the
#           signal. No warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.2.6 torch==2.13.0 transformers==5.24.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import math

import torch
import transformers
from transformers.models.ibert.quant_modules import IntGELU


def decibels(signal, made):
    error = (signal - made).square().mean()
    return 10 * math.log10(signal.square().mean() / error)


print('torch', torch.__version__, 'transformers', transformers.__version__)
x = torch.linspace(-6, 6, 4096)
gelu = torch.nn.functional.gelu
for bits, low, high in [(20, 40, 60), (12, 20, 40), (8, -15, -13)]:
    scale = (x.abs().max() / (2 ** (bits - 1) - 1)).reshape(1)
    rounded = torch.round(x / scale) * scale
    rounding = decibels(gelu(x), gelu(rounded))
    made = decibels(gelu(x), IntGELU()(rounded, scale)[0])
    print(f'{bits} bits: rounding alone {rounding:.1f} dB, happens {made:.1f} dB')
    assert rounding > (47 if bits == 8 else 50)
    assert low < made < high, 'it has changed'
PYTHON
