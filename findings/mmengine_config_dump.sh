#!/usr/bin/env bash
# MMEngine writes configs that it cannot read.
#
# A runner dumps its config into the work dir, for the record and for running it again.
#
# Expected: Config.fromfile reads what Config.dump wrote, as the same config.
# Happens:  a float that is infinite is written as the name `inf`, a class by its dotted
#           name, without an import: reading ends with a NameError, and dumping said
#           nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onedl-mmengine==0.10.12 numpy==2.2.6 setuptools==80.9.0 torch==2.13.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import collections
import math

import mmengine
from mmengine.config import Config

print('mmengine', mmengine.__version__)
for name, value, fine in [
    ('a number', 0.5, True),
    ('infinity', math.inf, False),
    ('a class', collections.Counter, False),
]:
    Config(dict(pipeline=[dict(type='Filter', what=value)])).dump('config.py')
    with open('config.py') as file:
        text = file.read().strip()
    try:
        read = Config.fromfile('config.py').pipeline[0].what
        happens = 'the same' if read == value else f'{read!r}'
    except NameError as error:
        happens = f'NameError: {error}'
    print(f'{name}: expected the same, happens {happens}\n    {text}')
    assert (happens == 'the same') == fine, 'it has changed'
PYTHON
