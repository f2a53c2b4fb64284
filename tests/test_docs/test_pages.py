"""Code and commands of the pages for users do what the pages say."""

import re
import sys
from pathlib import Path

import pytest
import scripts
from mmengine.config import Config
from region_models import config, images, quantized, vit

from iptq_mm.engine.export.config_text import config_text
from iptq_mm.functions import curves
from iptq_mm.program import trace
from iptq_mm.program.audit import audit_program
from iptq_mm.qtensor.rules import table
from iptq_mm.registry import FUNCTIONS

ROOT = Path(__file__).parents[2]
FEW = 'dict(num_images=6), activation=dict(guard_images=0)'
START = 'docs/start/classification.md'


def blocks(page, language='python'):
    text = (ROOT / page).read_text(encoding='utf-8')
    fenced = re.findall(r'^```(\S*)\n(.*?)^```$', text, re.DOTALL | re.MULTILINE)
    return [block for name, block in fenced if name == language]


@pytest.mark.parametrize('number', [0, 1])
def test_integers_for_floats(number):
    assert len(blocks('docs/start/concepts.md')) == 2
    exec(blocks('docs/start/concepts.md')[number], {})  # the page asserts


@pytest.fixture
def sigmoid_gelu(monkeypatch):
    """The function of the page about adding one."""
    FUNCTIONS.import_from_location()
    monkeypatch.setattr(FUNCTIONS, '_module_dict', dict(FUNCTIONS.module_dict))
    exec(blocks('docs/how-to/add-a-function.md')[0], {'__name__': 'sigmoid_gelu'})
    return 'sigmoid_gelu'


def test_an_added_function(sigmoid_gelu, no_grad):
    """It is chosen, near to float, and proved."""
    x = images(2, 3, 32, 32)
    settings = config(candidates={'gelu': [{'type': sigmoid_gelu}]})
    model = vit()
    net = quantized(model, [x], settings)
    (made,), (expected,) = net(x)[:1], model(x)[:1]
    error = (made - expected).pow(2).sum() / expected.pow(2).sum()
    assert error < 0.01
    program = trace(net.backbone, (x,)).program
    names = {(n.function or {}).get('type') for n in program.nodes if n.kind == 'gelu'}
    assert names == {sigmoid_gelu}
    assert audit_program(program).findings == []


def test_an_added_activation(tmp_path, monkeypatch, capsys):
    """The file of the page, and the model that it is tried on."""
    own, tried, in_config = blocks('docs/how-to/add-an-activation.md')
    (tmp_path / 'periodic.py').write_text(own)
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(curves.CURVES), dict(table.RULES), set(table.COMPUTING)
    try:
        scope = {}
        exec(tried, scope)
    finally:
        for kept, was in zip((curves.CURVES, table.RULES), before, strict=False):
            kept.clear()
            kept.update(was)
        table.COMPUTING.intersection_update(before[2])
        sys.modules.pop('periodic', None)
    report = scope['quantized'].report
    assert min(report['decibels'].values()) > 25
    assert report['audit']['holds'] and "imports=['iptq_mm', 'periodic']" in in_config
    # Two look-ups, and no parts.
    assert list(report['functions']) == ['model:/unary:0', 'model:/unary:1']
    assert capsys.readouterr().out.endswith('True\n')


@pytest.fixture
def followed(tmp_path, monkeypatch, capsys):
    """Does all that a page has a user write and run, with a tiny model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')

    def follow(page, run, name, few, given=()):
        cfg = Config.fromfile(run.config)
        cfg.pop('quantization')
        Path(f'{name}.py').write_text(config_text(cfg))
        Path(f'{name}.pth').symlink_to(run.checkpoint)
        for link, target in given:
            Path(link).symlink_to(target)
        own, in_python = blocks(page)
        text = f'{own}quantization.update(calibration={few})\n'
        Path(f'{name}_w8a8.py').write_text(text)
        commands = [line.split() for b in blocks(page, '') for line in b.splitlines()]
        for python, tool, *arguments in commands:
            assert python == 'python'
            module = scripts.as_module(ROOT / tool)
            ran = scripts.runner(module, monkeypatch, capsys)(*arguments)
            assert ran.code == 0, ran.err
        exec(in_python, {})
        return commands, capsys.readouterr().out

    return follow


@pytest.mark.slow
@pytest.mark.usefixtures('one_thread')
def test_the_classifier(followed, vit_run):
    commands, out = followed(START, vit_run, 'vit', FEW)
    assert len(commands) == 4
    assert 'tensor(' in out
    assert Path('vit.onnx').stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.usefixtures('one_thread')
def test_the_detector(followed, detector_run, tiny_data):
    page, few = 'docs/start/detection.md', 'dict(num_images=2, analysis_images=2)'
    image = tiny_data / 'detection/val/0.png'
    given = [('image.png', image)]
    commands, out = followed(page, detector_run, 'detector', few, given)
    assert [tool for _, tool, *_ in commands] == [
        f'tools/{name}.py' for name in ('quantize', 'audit', 'test', 'export')
    ]
    assert 'tensor(' in out
    assert Path('backbone.onnx').stat().st_size > 1000


def test_every_question_has_a_command_or_a_setting():
    text = (ROOT / 'docs/how-to/faq.md').read_text(encoding='utf-8')
    answers = re.findall(r'^\*\*(.+?)\*\*(.*?)(?=^\*\*|\Z)', text, re.M | re.S)
    assert len(answers) > 15
    for question, answer in answers:
        spans = ' '.join(re.findall(r'`([^`]+)`', answer))
        assert re.search(r'python \w+/|--\w|=', spans), question


def test_every_page_is_linked_from_the_readme():
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    links = {path for path in re.findall(r'\]\(([^)#]+)', text) if ':' not in path}
    pages = [*(ROOT / 'docs').rglob('*.md'), *(ROOT / 'docs').rglob('*.ipynb')]
    # Pages of the site that include a file that the README links.
    included = {'docs/reference/contributing.md', 'docs/reference/findings.md'}
    pages = [page for page in pages if '_build' not in page.parts]  # by make docs
    missing = {str(p.relative_to(ROOT)) for p in pages} - links - included
    assert missing == set()
    assert {'CONTRIBUTING.md', 'findings/README.md'} <= links
