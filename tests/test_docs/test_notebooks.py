"""The notebooks run from the first cell to the last, and show what they say."""

from pathlib import Path

import pytest

nbclient = pytest.importorskip('nbclient', reason='pip install nbclient ipykernel')
nbformat = pytest.importorskip('nbformat')

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Runs a notebook in a folder of its own; the texts that its cells show."""
    monkeypatch.setenv('PYTHONPATH', str(ROOT), prepend=':')
    for name in ('configs', 'demo', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)

    def run(name):
        book = nbformat.read(ROOT / 'docs/notebooks' / name, as_version=4)
        nbformat.validate(book)
        place = {'metadata': {'path': str(tmp_path)}}
        nbclient.NotebookClient(book, timeout=600, resources=place).execute()
        outputs = [o for cell in book.cells for o in cell.get('outputs', ())]
        kinds = {kind for o in outputs for kind in o.get('data', {})}
        return '\n'.join(o.text for o in outputs if o.output_type == 'stream'), kinds

    return run


def test_the_classifier(shown):
    text, _ = shown('classifier.ipynb')
    assert 'same answer as the float model:' in text
    assert 'star was taken for star' in text
    assert 'dB, loses' in text


def test_the_detector(shown):
    text, kinds = shown('detector.ipynb')
    assert 'coco/bbox_mAP:' in text and 'objects:' in text
    assert 'image/jpeg' in kinds
    assert 'Sites by what they do to the outputs' in text


@pytest.mark.parametrize('name', ['classifier.ipynb', 'detector.ipynb'])
def test_notebooks_are_kept_without_output(name):
    book = nbformat.read(ROOT / 'docs/notebooks' / name, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == 'code']
    assert code and not any(c.outputs or c.execution_count for c in code)
