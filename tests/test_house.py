"""The house is in order: imports, sizes of files and folders, names in documents."""

import re
from collections import Counter
from pathlib import Path

import grimp
import house
import pytest

import iptq_mm

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ('benchmarks', 'configs', 'demo', 'docs', 'findings', 'iptq_mm', 'tests')
FILES = list(house.files(ROOT, (*FOLDERS, 'examples', 'runtime', 'tools')))
RELATIVE = [path.relative_to(ROOT) for path in FILES]
DOCUMENTS = sorted(ROOT.glob('*.md')) + [p for p in FILES if p.suffix == '.md']

LINES = 300
FOLDER_SIZE = 15
#: Folders with more files than that, and why: variations of one idea, the name of the
#: file says which.
VARIATIONS: dict[str, str] = {
    'benchmarks': 'one script for each question',
    'configs/deit': 'five of them are old names, kept for one version',
    'iptq_mm/qtensor/rules': 'rules, by the functions of torch that they answer',
    'tools': 'commands, and scripts around them, where users of mm look for them',
}

#: What may import mmengine's runner: it is the driver of a run.
RUNNER_USERS = ('engine', 'models')


@pytest.fixture(scope='module')
def graph():
    return grimp.build_graph('iptq_mm', cache_dir=None)


def test_no_module_imports_itself_through_others(graph):
    # Imports for type checkers and inside functions count.
    imports = {m: graph.find_modules_directly_imported_by(m) for m in graph.modules}
    assert len(imports) > 100
    assert house.cycle(imports) == []


def test_a_cycle_is_found():
    chain = {'a': ['b'], 'b': ['c'], 'c': []}
    assert house.cycle(chain) == []
    circle = house.cycle(chain | {'c': ['b']})
    assert circle in (['b', 'c', 'b'], ['c', 'b', 'c'])


def test_only_the_engine_drives_a_run():
    users = {
        path.parts[1]
        for path in RELATIVE
        if path.parts[0] == 'iptq_mm' and path.suffix == '.py'
        for name in house.imported_modules((ROOT / path).read_text(encoding='utf-8'))
        if re.match(r'mmengine\.runner\b', name)
    }
    assert 'engine' in users
    assert users <= set(RUNNER_USERS)


@pytest.mark.parametrize(
    'source',
    [
        'import mmengine.runner',
        'from mmengine.runner import Runner',
        'from mmengine import runner',
        'def f():\n    from mmengine.runner import Runner',
        'if TYPE_CHECKING:\n    import mmengine.runner.checkpoint',
    ],
)
def test_an_import_is_found(source):
    found = list(house.imported_modules(source))
    assert any(name.startswith('mmengine.runner') for name in found)
    assert 'mmengine' not in house.imported_modules('from .mmengine import x')


def test_no_long_file():
    assert house.long_files(FILES, LINES) == {}


def test_no_crowded_folder():
    crowded = house.crowded_folders(RELATIVE, FOLDER_SIZE)
    assert {str(folder) for folder in crowded} == set(VARIATIONS)


def test_each_test_file_has_a_name_of_its_own():
    # pytest imports test files by their names alone.
    names = Counter(path.name for path in RELATIVE if path.parts[0] == 'tests')
    twice = [n for n in names if names[n] > 1 and n.startswith('test_')]
    assert len(names) > 100
    assert twice == []


def test_a_long_file_and_a_crowded_folder_are_found(tmp_path):
    long = tmp_path / 'a' / 'long.py'
    long.parent.mkdir()
    long.write_text('pass\n' * 4)
    (tmp_path / 'a' / 'text.md').write_text('word\n' * 9)
    (tmp_path / 'a' / 'made.so').write_text('')
    found = list(house.files(tmp_path, ['a']))
    assert house.long_files(found, 4) == {}
    assert house.long_files(found, 3) == {long: 4}
    assert house.crowded_folders(found, 2) == {}
    assert house.crowded_folders(found, 1) == {long.parent: 2}


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_documents_name_what_exists(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert house.missing_names(path.read_text(encoding='utf-8'), RELATIVE) == []
    assert house.broken_links(path) == []


def test_the_main_documents_are_looked_at():
    looked_at = {str(path.relative_to(ROOT)) for path in DOCUMENTS}
    assert looked_at >= {
        'CHANGELOG.md',
        'CONTRIBUTING.md',
        'README.md',
        'docs/architecture.md',
        'findings/README.md',
    }


def test_a_dead_name_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module, kernel = Path('a/b/module.py'), Path('a/src/kernel.inl')
    for path, text in [
        (module, 'LIMIT = 3\nclass C:\n    def m(self): ...\ndef f(): ...\n'),
        (kernel, 'int run(int x);'),
    ]:
        path.parent.mkdir(parents=True)
        path.write_text(text)

    def missing(text):
        return house.missing_names(text, [module, kernel])

    alive = '`b/module.py:f` `module.py:C.m` `module.py:LIMIT` `a/b/` `kernel.inl:run`'
    assert missing(alive) == []
    assert missing('`python FILE.py x.json` `some words/and more` x.py') == []
    dead = (
        '`c/module.py` `module.py:g` `module.py:m` `b/a/` `odule.py` `kernel.inl:gone`'
    )
    assert missing(dead) == [word.strip('`') for word in dead.split()]
    assert missing('`python other.py --x`') == ['other.py']


def test_a_dead_link_is_found(tmp_path):
    document = tmp_path / 'a.md'
    document.write_text(
        '# One: `two`, three\n[here](#one-two-three) [web](https://x.y/z) [a](a.md)\n'
        '```\n[no](link)\n```\n[gone](b.md) [no heading](a.md#two)\n'
    )
    assert house.broken_links(document) == ['b.md', 'a.md#two']


def test_the_changelog_begins_with_this_version():
    text = (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8')
    versions = re.findall(r'^## \[?(\d+\.\d+\.\d+)', text, re.MULTILINE)
    assert versions[0] == iptq_mm.__version__
    numbers = [tuple(map(int, version.split('.'))) for version in versions]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == len(numbers)


def test_slow_tests_are_there():
    listed = house.listed_tests(ROOT / 'tests/slow.txt')
    assert len(listed) > 50
    assert house.missing_tests(listed, ROOT) == []


def test_a_missing_test_is_found():
    here = 'tests/test_house.py::test_slow_tests_are_there'
    gone = ['tests/test_house.py::test_gone[1]', 'tests/gone.py::test_no_long_file']
    assert house.missing_tests([here, f'{here}[a]', *gone], ROOT) == gone
