"""mmpretrain beside a transformers that its multimodal models are too old for.

With transformers installed, mmpretrain imports these models with all others. They use
what transformers 5 does not have any more, and then no model of mmpretrain can be
imported, and none of mmdet.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

from .after_import import after_import

_DEPENDENCY = 'mmpretrain.utils.dependency'
#: Of transformers: what mmpretrain's multimodal models import, and newer ones lack.
_NEEDED = 'find_pruneable_heads_and_indices'


def leave_out_multimodal() -> None:
    """Let mmpretrain do without its multimodal models where they cannot be imported.

    It does so itself where transformers is not installed. Calling it again is
    harmless.
    """
    after_import(_DEPENDENCY, _decide)


def _decide(module: ModuleType) -> None:
    if not getattr(module, 'WITH_MULTIMODAL', False) or _has_what_is_needed():
        return
    module.WITH_MULTIMODAL = False  # type: ignore[attr-defined]
    version = importlib.metadata.version('transformers')
    warnings.warn(
        "mmpretrain's multimodal models are left out: they need what transformers "
        f"{version} does not have any more (pip install 'transformers<5' for them)",
        stacklevel=2,
    )


def _has_what_is_needed() -> bool:
    """Looks into the source: importing transformers takes seconds."""
    spec = importlib.util.find_spec('transformers')
    folders = (spec.submodule_search_locations if spec else None) or []
    files = [Path(folder, 'pytorch_utils.py') for folder in folders]
    return any(
        _NEEDED in file.read_text(encoding='utf-8') for file in files if file.is_file()
    )
