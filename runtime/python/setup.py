"""Builds the wheel of ``iptq_runtime``: numpy and the C library, no torch.

pip wheel --no-deps runtime/python
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

RUNTIME = Path(__file__).resolve().parents[1]
_VERSION = (RUNTIME.parent / 'iptq_mm/version.py').read_text(encoding='utf-8')


class BuildWithLibrary(build_py):
    """Compiles ``runtime/`` and puts the shared library beside the modules."""

    def run(self) -> None:
        """See the base class."""
        super().run()
        with tempfile.TemporaryDirectory() as folder:
            configure = ['cmake', '-S', str(RUNTIME), '-B', folder]
            subprocess.run(configure, check=True)
            build = ['cmake', '--build', folder, '--target', 'iptq']
            subprocess.run(build, check=True)
            made = Path(folder, 'libiptq.so').resolve()
            shutil.copy(made, Path(self.build_lib, 'iptq_runtime/libiptq.so'))


class ForThisMachine(bdist_wheel):
    """A wheel for any Python 3 of this kind of machine."""

    def get_tag(self) -> tuple[str, str, str]:
        """See the base class."""
        return 'py3', 'none', super().get_tag()[2]


class WithLibrary(Distribution):
    """Not for all machines, although no module is compiled."""

    def has_ext_modules(self) -> bool:
        """See the base class."""
        return True


setup(
    name='iptq_runtime',
    version=re.search(r"'([0-9][^']*)'", _VERSION)[1],
    description='Runs integer-only vision transformers (.iptq files) with numpy alone',
    packages=['iptq_runtime', 'iptq_runtime.detection'],
    python_requires='>=3.10',
    install_requires=['numpy'],
    distclass=WithLibrary,
    cmdclass={'build_py': BuildWithLibrary, 'bdist_wheel': ForThisMachine},
)
