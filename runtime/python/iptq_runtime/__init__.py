"""Runs integer models (``.iptq`` files) with numpy alone.

Example::

    import iptq_runtime

    with iptq_runtime.Model('model.iptq') as model:
        (logits,) = model(pixels)  # uint8, shape (1, 3, 224, 224)

The files are written by ``tools/export.py`` of ``iptq_mm``. The work is done by the C
library of its ``runtime/``, which lies beside this file, or where the environment
variable ``IPTQ_LIBRARY`` says.
"""

from .library import Error, Library
from .model import Model, Port

__all__ = ['Error', 'Library', 'Model', 'Port']
