"""The repair must act in one case only, so each case is a fresh interpreter."""

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

requires_torchvision = pytest.mark.skipif(
    importlib.util.find_spec('torchvision') is None, reason='needs torchvision'
)


def _python(code: str, *paths: Path) -> subprocess.CompletedProcess:
    search = [str(path) for path in (*paths, REPOSITORY)]
    return subprocess.run(
        [sys.executable, '-c', textwrap.dedent(code)],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(search)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def _succeeds(code: str, *paths: Path) -> str:
    done = _python(code, *paths)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@requires_torchvision
def test_torchvision_imports_after_the_repair():
    _succeeds("""
        import sys
        from iptq_mm.utils import repair_torchvision
        repair_torchvision()
        assert 'torchvision' not in sys.modules
        assert repair_torchvision() is False
        import torchvision
        from torchvision import transforms
    """)


@requires_torchvision
def test_a_missing_kernel_is_still_an_error():
    out = _succeeds("""
        import torch
        from iptq_mm.utils import repair_torchvision
        if not repair_torchvision():
            print('sound')
            raise SystemExit
        from torchvision.ops import nms
        try:
            nms(torch.rand(2, 4), torch.rand(2), 0.5)
        except RuntimeError as error:
            print('Couldn\\'t load custom C++ ops' in str(error))
    """)
    assert out in ('sound', 'True')


def _package(folder: Path, library: bytes | None) -> None:
    package = folder / 'torchvision'
    package.mkdir()
    (package / '__init__.py').write_text('raise ImportError("must stay unimported")')
    if library is not None:
        (package / '_C.so').write_bytes(library)


REPORT = """
    import torch
    from iptq_mm.utils.torchvision_repair import _defined, repair_torchvision
    print(repair_torchvision(), _defined('nms'), _defined('qnms'))
"""


def test_a_broken_library_is_repaired(tmp_path):
    _package(tmp_path, b'no shared library')
    # Run without iptq_mm/__init__.py, whose own call would come first.
    assert _succeeds(_bare(REPORT), tmp_path) == 'True True True'


def test_an_absent_library_is_repaired(tmp_path):
    _package(tmp_path, None)
    assert _succeeds(_bare(REPORT), tmp_path) == 'True True True'


def test_a_sound_library_is_left_alone(tmp_path):
    _package(tmp_path, None)
    code = """
        import iptq_mm.utils.torchvision_repair as module
        module._library_loads = lambda package: True
    """
    assert _succeeds(_bare(code, REPORT), tmp_path) == 'False False False'


@pytest.mark.parametrize('name', ['_C.so', '_C_stable.so', '_C_stable.abi3.so'])
def test_the_library_is_found_by_any_name(name, tmp_path):
    _package(tmp_path, None)
    (tmp_path / 'torchvision' / name).write_bytes(b'a library')
    (tmp_path / 'torchvision' / '_C_notes.txt').write_text('none')
    code = """
        import torch
        torch.ops.load_library = print
    """
    out = _succeeds(_bare(code, REPORT), tmp_path).splitlines()
    assert out == [str(tmp_path / 'torchvision' / name), 'False False False']


def test_an_imported_torchvision_is_left_alone():
    code = "import sys, types; sys.modules['torchvision'] = types.ModuleType('tv')"
    assert _succeeds(_bare(code, REPORT)) == 'False False False'


def test_without_torchvision_nothing_happens():
    code = """
        import importlib.util
        find = importlib.util.find_spec
        importlib.util.find_spec = (
            lambda name, *rest: None if name == 'torchvision' else find(name, *rest)
        )
    """
    assert _succeeds(_bare(code, REPORT)) == 'False False False'


def _bare(*codes: str) -> str:
    """Make ``iptq_mm`` a package without side effects, then run the codes."""
    stand_in = f"""
        import sys, types
        package = types.ModuleType('iptq_mm')
        package.__path__ = [{str(REPOSITORY / 'iptq_mm')!r}]
        sys.modules['iptq_mm'] = package
    """
    return '\n'.join(textwrap.dedent(code) for code in (stand_in, *codes))
