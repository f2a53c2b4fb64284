"""Let torchvision be imported where its compiled part does not load.

mmpretrain imports torchvision for a few image transforms written in Python,
and ``mmdet.models`` imports mmpretrain when it is installed. The wheels of
torchvision on PyPI are linked against CUDA; beside a CPU-only torch their
library does not load. torchvision means to live without it, but since 0.18 it
registers *fake* kernels for two of the library's operators while it is being
imported, which torch refuses for operators that nobody has defined:
``operator torchvision::nms does not exist``. With it fails every import of
mmpretrain and mmdet.

Defining the two schemas beforehand is enough. The operators get no kernel: who
calls ``torchvision.ops.nms`` is still told that the compiled part is missing
(OpenMMLab uses the operators of mmcv).
"""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import torch

#: What torchvision's own library defines, as far as its import needs it.
_SCHEMAS = (
    'nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
)

# torch removes the definitions when the library object is collected.
_library: torch.library.Library | None = None


def repair_torchvision() -> bool:
    """Define torchvision's operator schemas if its library does not load.

    Does nothing where torchvision is absent, already imported, or sound.
    torchvision itself is not imported. Calling it again is harmless.

    Returns:
        bool: Whether the schemas were defined by this call.
    """
    global _library
    if 'torchvision' in sys.modules or _defined('nms'):
        return False
    spec = importlib.util.find_spec('torchvision')
    if spec is None or not spec.submodule_search_locations:
        return False
    if _library_loads(Path(list(spec.submodule_search_locations)[0])):
        return False
    # A fragment, because another repair may have opened the same namespace.
    _library = torch.library.Library('torchvision', 'FRAGMENT')
    for schema in _SCHEMAS:
        if not _defined(schema.split('(')[0]):
            _library.define(schema)
    return True


def _defined(name: str) -> bool:
    """Whether the operator ``torchvision::name`` has a schema."""
    return hasattr(torch.ops.torchvision, name)


def _library_loads(package: Path) -> bool:
    """Try what ``torchvision/extension.py`` will try a moment later.

    Only an attempt tells: no version number says whether the CUDA libraries
    that the file was linked against are there. Where it succeeds, nothing is
    lost, since torchvision then finds the library loaded. The file is ``_C.so`` up to
    torchvision 0.28 and ``_C_stable.so`` since. Were it overlooked here, torchvision
    would load it later and define the schemas a second time, which ends the process.
    """
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    for path in sorted(package.glob('_C*')):
        if not path.name.endswith(suffixes):
            continue
        try:
            torch.ops.load_library(str(path))
        except (ImportError, OSError):
            continue
        return True
    return False
