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
def mim(request, tmp_path):
    """Runs mim, to which this checkout looks like an installation."""
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

    def run(*arguments):
        paths = [str(site), *os.environ.get('PYTHONPATH', '').split(os.pathsep)]
        return subprocess.run(
            [sys.executable, '-m', 'mim', *map(str, arguments)],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths), 'no_proxy': '*'}
            | dict(OMP_NUM_THREADS='1', HOME=str(tmp_path)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_search(mim, tmp_path):
    done = mim('search', 'iptq_mm', '--json', 'found.json')
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / 'found.json').read_text())
    assert found['imagenet-1k/float_top_1_accuracy'][NAME] == 72.2
    assert found['coco/float_mask_ap']['mask-rcnn_swin-t_w8a8_coco'] == 41.6
    assert found['weight'][NAME].endswith('deit_tiny_patch16_224-a1311bcf.pth')
    assert found['config'][NAME] == f'configs/deit/{NAME}.py'


def test_download(mim, tmp_path):
    """From a server of this machine, which stands in for the publisher's."""
    from modelindex.load_model_index import load

    assert load(str(ROOT / 'model-index.yml')).models
    with serving() as server:
        server.contents['a.pth'] = b'weights'
        script = tmp_path / 'mim_here.py'
        script.write_text(
            'from mim.commands import download, search\n'
            'import sys, modelindex\n'
            'import importlib\n'
            "search = importlib.import_module('mim.commands.search')\n"
            'load = search.load\n'
            'def here(path):\n'
            '    index = load(path)\n'
            '    for model in index.models:\n'
            f'        model.weights = {server.url("a.pth")!r}\n'
            '    return index\n'
            'search.load = here\n'
            f"download('iptq_mm', [{NAME!r}], 'there')\n"
        )
        # In the process of mim, as -m mim would be.
        done = mim_script(mim, script)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'there/a.pth').read_bytes() == b'weights'
    text = (tmp_path / f'there/{NAME}.py').read_text()
    assert 'quantization = dict(' in text and '_base_ =' not in text


def mim_script(mim, script):
    """Run a script where mim would run."""
    closure = dict(zip(mim.__code__.co_freevars, mim.__closure__, strict=True))
    paths = [str(closure['site'].cell_contents), os.environ.get('PYTHONPATH', '')]
    return subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths), 'no_proxy': '*'}
        | dict(HOME=str(script.parent)),
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_run_and_test(mim, vit_run, tmp_path):
    done = mim('run', 'iptq_mm', 'quantize', vit_run.config, '--work-dir', 'out')
    assert done.returncode == 0, done.stderr[-3000:]
    integer = tmp_path / 'out/integer'
    done = mim('test', 'iptq_mm', f'{integer}.py', '--checkpoint', f'{integer}.pth')
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((tmp_path / 'out/results.json').read_text())
    value = results['integer']['accuracy/top1']
    assert f'accuracy/top1: {value:.4f}' in done.stdout + done.stderr
    done = mim('run', 'iptq_mm', 'get_checkpoint', '--list')
    assert done.returncode == 0 and 'deit-tiny_3rdparty_in1k' in done.stdout


def test_tools_are_found_once():
    names = [path.name for path in Path(ROOT / 'tools').rglob('*.py')]
    assert len(set(names)) == len(names)
