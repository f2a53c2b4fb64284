"""mim finds this package's metafiles and tools, installed or in a checkout."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from file_server import serving
from shipped import ROOT

NAME = 'deit-tiny_w8a8_in1k'
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec('mim') is None,
        reason='mim is not here: pip install --no-deps -r requirements/mim.txt',
    ),
]


@pytest.fixture(params=['editable', 'installed'])
def python(request, tmp_path):
    """Runs Python where this checkout looks like an installation."""
    site = tmp_path / 'site'
    info = site / 'iptq_mm-9.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: iptq_mm\nVersion: 9\n')
    (info / 'top_level.txt').write_text('iptq_mm\n')
    (info / 'RECORD').write_text('iptq_mm/__init__.py,,\n')
    if request.param == 'editable':
        direct = dict(url=ROOT.as_uri(), dir_info=dict(editable=True))
        (info / 'direct_url.json').write_text(json.dumps(direct))
    (site / 'iptq_mm').symlink_to(ROOT / 'iptq_mm')

    def run(*command):
        paths = [str(site), *os.environ.get('PYTHONPATH', '').split(os.pathsep)]
        return subprocess.run(
            [sys.executable, *map(str, command)],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths), 'no_proxy': '*'}
            | dict(OMP_NUM_THREADS='1', HOME=str(tmp_path)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


#: ``mim download`` with all checkpoints at one address of this machine.
DOWNLOAD = """
import importlib, sys
search = importlib.import_module('mim.commands.search')
download = importlib.import_module('mim.commands.download')
load = search.load
def here(path):
    index = load(path)
    for model in index.models:
        model.weights = sys.argv[1]
    return index
search.load = here
download.download('iptq_mm', [sys.argv[2]], 'there')
"""


def test_search(python, tmp_path):
    done = python('-m', 'mim', 'search', 'iptq_mm', '--json', 'found.json')
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / 'found.json').read_text())
    assert found['imagenet-1k/float_top_1_accuracy'][NAME] == 72.2
    assert found['coco/float_mask_ap']['mask-rcnn_swin-t_w8a8_coco'] == 41.6
    assert found['weight'][NAME].endswith('deit_tiny_patch16_224-a1311bcf.pth')
    assert found['config'][NAME] == f'configs/deit/{NAME}.py'


def test_download(python, tmp_path):
    with serving() as server:
        server.contents['a.pth'] = b'weights'
        done = python('-c', DOWNLOAD, server.url('a.pth'), NAME)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'there/a.pth').read_bytes() == b'weights'
    text = (tmp_path / f'there/{NAME}.py').read_text()
    assert 'quantization = dict(' in text and '_base_ =' not in text


def test_run_and_test(python, vit_run, tmp_path):
    done = python(
        '-m', 'mim', 'run', 'iptq_mm', 'quantize', vit_run.config, '--work-dir', 'out'
    )
    assert done.returncode == 0, done.stderr[-3000:]
    integer = tmp_path / 'out/integer'
    done = python(
        '-m',
        'mim',
        'test',
        'iptq_mm',
        f'{integer}.py',
        '--checkpoint',
        f'{integer}.pth',
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((tmp_path / 'out/results.json').read_text())
    value = results['integer']['accuracy/top1']
    assert f'accuracy/top1: {value:.4f}' in done.stdout + done.stderr
    done = python('-m', 'mim', 'run', 'iptq_mm', 'get_checkpoint', '--list')
    assert done.returncode == 0 and 'deit-tiny_3rdparty_in1k' in done.stdout


def test_tools_are_found_once():
    names = [path.name for path in Path(ROOT / 'tools').rglob('*.py')]
    assert len(set(names)) == len(names)
