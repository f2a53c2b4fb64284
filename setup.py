"""Packaging of iptq_mm, in the form of the OpenMMLab projects."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from setuptools import Distribution, find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

#: What `mim` looks for inside an installed package.
MIM_ITEMS = ('tools', 'configs', 'model-index.yml')

#: The commands that put files into an installation or an archive. An editable
#: install is `develop` for old tools and `editable_wheel` for PEP 660.
PACKAGING_COMMANDS = {'develop', 'editable_wheel', 'sdist', 'bdist_wheel', 'install'}


def get_version() -> str:
    """Read the version without importing the package, which needs torch."""
    scope: dict[str, str] = {}
    path = ROOT / 'iptq_mm' / 'version.py'
    exec(compile(path.read_text(encoding='utf-8'), str(path), 'exec'), scope)
    return scope['__version__']


def get_description() -> str:
    """Return the README, the page of the package on an index."""
    readme = ROOT / 'README.md'
    return readme.read_text(encoding='utf-8') if readme.exists() else ''


def parse_requirements(name: str) -> list[str]:
    """List the requirements of a file.

    Args:
        name (str): Path of the file, relative to the repository. A line
            ``-r other.txt`` includes another file, beside the one that holds it.

    Returns:
        list[str]: The requirements, without comments and empty lines.
    """

    def lines(path: Path) -> Iterator[str]:
        for raw in path.read_text(encoding='utf-8').splitlines():
            line = raw.partition('#')[0].strip()
            if line.startswith('-r '):
                yield from lines(path.parent / line[3:].strip())
            elif line:
                yield line

    return list(lines(ROOT / name))


def add_mim_extension() -> None:
    """Show `mim` our tools and configs by putting them into the package.

    Links are used where the system has them, copies elsewhere. Builds follow
    the links, so that archives hold the files; an editable install sees every
    later change of the repository.
    """
    if not PACKAGING_COMMANDS.intersection(sys.argv):
        return
    folder = ROOT / 'iptq_mm' / '.mim'
    folder.mkdir(exist_ok=True)
    for name in MIM_ITEMS:
        source, target = ROOT / name, folder / name
        if target.is_symlink() or target.is_file():
            target.unlink()
        elif target.is_dir():
            shutil.rmtree(target)
        if not source.exists():
            continue
        try:
            target.symlink_to(os.path.relpath(source, folder))
        except OSError:
            # Windows asks for a privilege to make links.
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy(source, target)


def native_builder() -> ModuleType:
    """Load what compiles the native library, without the package around it."""
    path = ROOT / 'iptq_mm' / 'native' / 'build.py'
    spec = importlib.util.spec_from_file_location('iptq_mm_native_build', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class BuildWithLibrary(build_py):
    """Copies the package and compiles its C++ library, if there is a compiler.

    An editable install has none: its sources may change, and the first use compiles
    what is there then.
    """

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            return
        builder = native_builder()
        inside = builder.INSTALLED.relative_to(ROOT)
        try:
            builder.build(Path(self.build_lib) / inside)
        except builder.BuildError as error:
            reason = str(error).splitlines()[0]
            print(f'iptq_mm: no native library ({reason}); all else works without')


class PlatformDistribution(Distribution):
    """A distribution for one platform where a compiler makes the library."""

    def has_ext_modules(self) -> bool:
        """Whether a wheel of it is for one platform."""
        return native_builder().compiler() is not None


if __name__ == '__main__':
    add_mim_extension()
    setup(
        name='iptq_mm',
        version=get_version(),
        description='Integer-only post-training quantization of transformers: '
        'OpenMMLab, timm, Hugging Face, any torch model',
        long_description=get_description(),
        long_description_content_type='text/markdown',
        license='Apache-2.0',
        license_files=['LICENSE'],
        keywords='computer vision, quantization, vision transformer',
        packages=find_packages(include=('iptq_mm', 'iptq_mm.*')),
        cmdclass={'build_py': BuildWithLibrary},
        distclass=PlatformDistribution,
        include_package_data=True,
        python_requires='>=3.10',
        classifiers=[
            'Development Status :: 4 - Beta',
            'Intended Audience :: Developers',
            'Intended Audience :: Science/Research',
            'Operating System :: OS Independent',
            'Programming Language :: Python :: 3',
            'Programming Language :: Python :: 3.10',
            'Programming Language :: Python :: 3.11',
            'Programming Language :: C++',
            'Topic :: Scientific/Engineering :: Artificial Intelligence',
        ],
        # mmcv, and what needs it, stay out of here: pip would build it in isolation,
        # against another torch.
        install_requires=parse_requirements('requirements/core.txt'),
        extras_require={
            'all': parse_requirements('requirements.txt'),
            'tests': parse_requirements('requirements/tests.txt'),
            'optional': parse_requirements('requirements/optional.txt'),
            'onnx': parse_requirements('requirements/optional.txt'),
            'mim': parse_requirements('requirements/mminstall.txt'),
        },
        zip_safe=False,
    )
