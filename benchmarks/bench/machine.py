"""What a measurement was made on."""

from __future__ import annotations

import os
import platform
import re
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ('iptq_mm', 'torch', 'onnxruntime', 'openvino', 'nncf', 'onedl-mmdetection')
#: Of the flags of a CPU, those that matter to integers and narrow floats.
_FLAGS = re.compile(r'avx2|avx512(f|bw|vbmi|_vnni|_bf16)|avx_vnni\w*|amx_\w+')


def facts() -> dict[str, Any]:
    """CPU, threads, versions, and how busy the machine was."""
    info = _cpu_info()
    return {
        'date': datetime.now().isoformat(timespec='seconds'),
        'cpu': info.get('model name', platform.processor() or platform.machine()),
        'flags': sorted(
            f for f in info.get('flags', '').split() if _FLAGS.fullmatch(f)
        ),
        'cores': os.cpu_count(),
        'threads': torch.get_num_threads(),
        'load': [round(x, 2) for x in os.getloadavg()],
        'native': _native_level(),
        'platform': platform.platform(),
        'python': platform.python_version(),
        'versions': {name: v for name in PACKAGES if (v := _version(name))},
    }


def _cpu_info() -> dict[str, str]:
    """Of the first core, on Linux."""
    try:
        text = Path('/proc/cpuinfo').read_text()
    except OSError:
        return {}
    lines = text.partition('\n\n')[0].splitlines()
    pairs = (line.partition(':') for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _native_level() -> str:
    """The instruction set that the native back end takes."""
    from iptq_mm.native.library import NativeError, level

    try:
        return level()
    except NativeError as error:
        return f'none: {error}'


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
