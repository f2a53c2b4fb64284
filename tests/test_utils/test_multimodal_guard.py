"""mmpretrain beside a transformers that its multimodal models cannot use."""

import os
import subprocess
import sys

import pytest

NEEDED = 'def find_pruneable_heads_and_indices(): ...\n'
ASK = 'import mmpretrain.utils.dependency as d; print(d.WITH_MULTIMODAL)'


@pytest.fixture
def ask(tmp_path):
    """What mmpretrain says beside a transformers whose module has this text."""

    def run(text, code):
        package = tmp_path / 'transformers'
        package.mkdir(exist_ok=True)
        (package / '__init__.py').write_text('')
        (package / 'pytorch_utils.py').write_text(text)
        known = tmp_path / 'transformers-5.24.0.dist-info'
        known.mkdir(exist_ok=True)
        known.joinpath('METADATA').write_text(
            'Metadata-Version: 2.1\nName: transformers\nVersion: 5.24.0\n'
        )
        paths = [str(tmp_path), *filter(None, [os.environ.get('PYTHONPATH')])]
        return subprocess.run(
            [sys.executable, '-c', code],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.slow
def test_a_transformers_that_is_too_new(ask):
    made = ask('', f'import iptq_mm; {ASK}')
    assert made.stdout.endswith('False\n'), made.stderr
    assert 'transformers 5.24.0' in made.stderr and "'transformers<5'" in made.stderr
    assert ask('', ASK).stdout.endswith('True\n')  # mmpretrain's own answer


@pytest.mark.slow
def test_models_are_there_all_the_same(ask):
    made = ask('', 'import iptq_mm, mmpretrain.models as m; print(m.VisionTransformer)')
    assert 'VisionTransformer' in made.stdout, made.stderr


@pytest.mark.slow
def test_a_transformers_that_will_do(ask):
    made = ask(NEEDED, f'import iptq_mm; {ASK}')
    assert made.stdout.endswith('True\n'), made.stderr
    assert 'multimodal' not in made.stderr
