"""pnnx, the converter of ncnn."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from .base import NotRunError, Run, Runtime


class Pnnx(Runtime):
    """pnnx: whether it knows the operators; what it makes is not run."""

    name = 'pnnx (ncnn)'
    packages = ('pnnx',)

    def prepare(self, path: Path) -> Run:
        """See the base class.

        Raises:
            RuntimeError: If there are operators that it does not know; names them.
            NotRunError: If there are none.
        """
        import pnnx

        done = subprocess.run(
            [pnnx.EXEC_PATH, path.name], cwd=path.parent, capture_output=True, text=True
        )
        printed = done.stdout + done.stderr
        unknown = re.findall(r'^(?:todo|ignore) (\S+)', printed, re.MULTILINE)
        if unknown:
            named = ', '.join(dict.fromkeys(unknown))
            raise RuntimeError(f'no ncnn layer for {named}')
        if done.returncode:
            raise RuntimeError(printed[-300:])
        raise NotRunError('converted')
