"""What test_house.py looks for: cycles, long files, crowded folders, dead names."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

#: Names of files in documentation, with a function of theirs or without one.
_NAMED = re.compile(
    r'((?:[\w.-]+/)*[\w.-]+\.(?:py|cpp|h|inl|sh))(?::([A-Za-z_][\w.]*))?'
)
_FOLDER = re.compile(r'(?:[\w.-]+/)+')
_CODE = re.compile(r'`([^`\n]+)`')
_FENCE = re.compile(r'^```.*?^```', re.MULTILINE | re.DOTALL)
_LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')
_HEADING = re.compile(r'^#+ (.+)$', re.MULTILINE)
#: Made by tools and compilers, beside what is ours.
_MADE = ('.pyc', '.so')


def cycle(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """Find modules that import each other in a circle.

    Args:
        imports: What each module imports.

    Returns:
        One circle, its first module again at the end; empty without any.
    """
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def imported_modules(source: str) -> Iterator[str]:
    """Yield what a file imports by its full name, at any depth of the code.

    ``from a import b`` yields ``a`` and ``a.b``, since ``b`` may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def files(root: Path, folders: Iterable[str]) -> Iterator[Path]:
    """Yield the files that people wrote, in some folders of the repository."""
    for folder in folders:
        for path in sorted((root / folder).rglob('*')):
            parts = path.relative_to(root).parts
            hidden = any(
                part.startswith('.') or part in ('__pycache__', '_build')
                for part in parts
            )
            if path.is_file() and not hidden and path.suffix not in _MADE:
                yield path


def long_files(paths: Iterable[Path], limit: int) -> dict[Path, int]:
    """Return the Python files of more than ``limit`` lines, and their lines."""
    lengths = {
        path: len(path.read_text(encoding='utf-8').splitlines())
        for path in paths
        if path.suffix == '.py'
    }
    return {path: lines for path, lines in lengths.items() if lines > limit}


def crowded_folders(paths: Iterable[Path], limit: int) -> dict[Path, int]:
    """Return the folders of more than ``limit`` files, and how many they have."""
    counts: dict[Path, int] = {}
    for path in paths:
        counts[path.parent] = counts.get(path.parent, 0) + 1
    return {folder: number for folder, number in counts.items() if number > limit}


def missing_names(text: str, paths: Iterable[Path]) -> list[str]:
    """List the files, folders and functions that a document names and nobody has.

    A name in backticks may leave out the first folders of a path: any file whose path
    ends so will do. `file.py:function` (or `file.py:Class.method`) asks for one that
    has the function. Names in capitals (`FILE.py`) stand for any.

    Args:
        text: A document in Markdown.
        paths: The files of the repository, relative to it.
    """
    paths = list(paths)
    missing = []
    for code in _CODE.findall(_FENCE.sub('', text)):
        for word in code.split():
            named = _NAMED.fullmatch(word)
            if named and not Path(named[1]).stem.isupper():
                found = [path for path in paths if _ends(path, Path(named[1]))]
                if not any(named[2] is None or named[2] in names(p) for p in found):
                    missing.append(word)
            elif _FOLDER.fullmatch(word):
                folders = {parent for path in paths for parent in path.parents}
                if not any(_ends(folder, Path(word)) for folder in folders):
                    missing.append(word)
    return missing


def _ends(path: Path, end: Path) -> bool:
    return path.parts[-len(end.parts) :] == end.parts


def names(path: Path) -> set[str]:
    """Return what a file defines: `function`, `Class`, `Class.method`, `CONSTANT`.

    Of a file in another language than Python, all its words.
    """
    text = path.read_text(encoding='utf-8')
    if path.suffix != '.py':
        return set(re.findall(r'[A-Za-z_]\w*', text))
    found: set[str] = set()

    def collect(body: Iterable[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    collect(node.body, f'{prefix}{node.name}.')
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = (
                    node.targets if isinstance(node, ast.Assign) else [node.target]
                )
                found.update(prefix + t.id for t in targets if isinstance(t, ast.Name))

    collect(ast.parse(text).body, '')
    return found


def broken_links(document: Path) -> list[str]:
    """List the links of a document to files or headings that do not exist."""
    text = document.read_text(encoding='utf-8')
    broken = []
    for link in _LINK.findall(_FENCE.sub('', text)):
        if re.match(r'[a-z]+:', link):
            continue
        name, _, anchor = link.partition('#')
        target = document.parent / name if name else document
        if (
            not target.exists()
            or anchor
            and anchor not in anchors(target.read_text(encoding='utf-8'))
        ):
            broken.append(link)
    return broken


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a document."""
    headings = _HEADING.findall(_FENCE.sub('', text))
    return {re.sub(r'[^\w\- ]', '', h.lower()).replace(' ', '-') for h in headings}


def listed_tests(path: Path) -> set[str]:
    """The tests that a file lists, one a line; ``#`` begins a comment."""
    lines = path.read_text(encoding='utf-8').splitlines()
    return {line for line in lines if line and not line.startswith('#')}


def missing_tests(names: Iterable[str], root: Path) -> list[str]:
    """Names of tests whose file or function is not there."""
    missing = []
    for name in names:
        file, *_, function = name.partition('[')[0].split('::')
        path = root / file
        text = path.read_text(encoding='utf-8') if path.is_file() else ''
        if f'def {function}(' not in text:
            missing.append(name)
    return missing
