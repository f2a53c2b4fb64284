"""A config as Python source that mmengine reads back as the same config."""

from __future__ import annotations

import contextlib
import copyreg
import functools
import importlib
import keyword
import re
import textwrap
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject

from ...calibration import ConfigError

#: What a path begins with that lies in the folder of the config.
BESIDE = '{{ fileDirname }}/'

# mmengine would paste the folder into the source, quotes and all.
_FOLDER = 'os.path.dirname(inspect.currentframe().f_code.co_filename)'
# With a base, even if there is none, mmengine takes imports as they are.
_HEAD = '_base_ = []\nimport importlib\nimport inspect\nimport os\n\n'
_WIDTH = 79


def config_text(cfg: Config) -> str:
    """Python source of a config.

    ``pretty_text`` of mmengine spells infinities, types of tensors, classes and
    functions such that they cannot be read again
    (``findings/mmengine_config_dump.sh``), and takes all keys for names. Here, they are
    expressions that import what they name. What a config in pure Python imports stays
    lazy. A path that begins with :data:`BESIDE` is found wherever the file lies.

    Args:
        cfg: The config.

    Raises:
        ConfigError: If a value cannot be written; names its key.
    """
    lines = [_HEAD]
    # Without what a config in pure Python imports for itself.
    for key, value in cfg._to_lazy_dict().items():
        # mmengine leaves them out when it reads a config, too.
        if not isinstance(value, FunctionType | ModuleType):
            name = key if _is_name(key) else f'globals()[{key!r}]'
            lines.append(f'{name} = {_expression(value, str(key))}\n')
    return ''.join(lines)


def _is_name(key: Any) -> bool:
    return isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)


def _expression(value: Any, where: str) -> str:
    """The source of a value.

    Args:
        value: The value.
        where: Its dotted key, for messages.
    """
    if isinstance(value, dict):
        return _dict(value, where)
    writer = _WRITERS.get(type(value))
    if writer is not None:
        return writer(value, where)
    if isinstance(value, np.ndarray | np.generic | torch.Tensor):
        return _array(value, where)
    return _importable(value) or _made(value, where)


def _dict(value: dict, where: str) -> str:
    if all(map(_is_name, value)):
        items = [f'{k}={_expression(v, f"{where}.{k}")}' for k, v in value.items()]
        return _layout('dict(', items, ')')
    items = [
        f'{_expression(k, where)}: {_expression(v, f"{where}.{k}")}'
        for k, v in value.items()
    ]
    return _layout('{', items, '}')


def _list(value: list, where: str) -> str:
    return _layout('[', _expressions(value, where), ']')


def _tuple(value: tuple, where: str) -> str:
    items = _expressions(value, where)
    return f'({items[0]}, )' if len(items) == 1 else _layout('(', items, ')')


def _set(value: set | frozenset, where: str) -> str:
    items = sorted(_expressions(value, where))
    return _layout(f'{type(value).__name__}([', items, '])')


def _text(value: str | bytes, where: str) -> str:
    """A literal in which mmengine finds no variable to replace."""
    if isinstance(value, str):
        if value.startswith(BESIDE):
            rest = _text(value.removeprefix(BESIDE), where)
            return f'os.path.join({_FOLDER}, {rest})'
        try:
            value.encode()
        except UnicodeEncodeError:  # of a path that is no text
            return ascii(value).replace('{{', r'{\x7b')
    return repr(value).replace('{{', r'{\x7b')


def _float(value: float, where: str) -> str:
    finite = value - value == 0
    return repr(value) if finite else f"float('{value}')"


def _partial(value: functools.partial, where: str) -> str:
    named = [f'{k}={_expression(v, f"{where}.{k}")}' for k, v in value.keywords.items()]
    items = _expressions((value.func, *value.args), where)
    return _layout(f'{_module("functools")}.partial(', [*items, *named], ')')


def _array(value: Any, where: str) -> str:
    """Arrays, tensors and numbers that know their type."""
    numbers = _expression(value.tolist(), where)
    if isinstance(value, torch.Tensor):
        return f'{_module("torch")}.tensor({numbers}, dtype={_importable(value.dtype)})'
    dtype = f'dtype={value.dtype.str!r}'
    array = f'{_module("numpy")}.array({numbers}, {dtype})'
    if isinstance(value, np.generic):
        return f'{array}[()]'
    return f'{array}.reshape({value.shape})'


def _lazy(value: LazyObject | LazyAttr, where: str) -> str:
    kind = f'{_module("mmengine.config.lazy")}.{type(value).__name__}'
    if isinstance(value, LazyAttr):
        return f'{kind}({value.name!r}, {_lazy(value.source, where)})'
    return f'{kind}({value._module!r}, {value._imported!r})'


def _importable(value: Any) -> str | None:
    """How to import a class, a function or a constant of torch; None: it cannot be."""
    if re.fullmatch(r'torch\.\w+', repr(value)):  # its types, layouts and so on
        return _found('torch', repr(value).partition('.')[2], value)
    module = getattr(value, '__module__', None)
    return _found(module, getattr(value, '__qualname__', None), value)


def _found(module: Any, name: Any, value: Any) -> str | None:
    """How to import a value of this name, if that gives it."""
    if not module or not name or module == '__main__':
        return None
    try:
        found = importlib.import_module(module)
        for part in name.split('.'):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return f'{_module(module)}.{name}' if found == value else None


def _made(value: Any, where: str) -> str:
    """What can be made by a call, as pickle does it."""
    reduced: Any = ()
    with contextlib.suppress(Exception):  # whatever an object of any class says
        reduce = copyreg.dispatch_table.get(type(value))
        reduced = reduce(value) if reduce else value.__reduce_ex__(4)
    maker: str | None = None
    arguments: tuple = ()
    if isinstance(reduced, str):
        name = _found(type(value).__module__, reduced, value)
        if name:
            return name
    elif reduced and not any(part is not None for part in reduced[2:]):
        call, arguments = reduced[:2]
        new = call is copyreg.__newobj__  # type: ignore[attr-defined]
        maker = _importable(arguments[0] if new else call)
        maker = f'{maker}.__new__' if new and maker else maker
    if maker is None:
        raise ConfigError(
            f'{where} is {value!r}, which cannot be written into a config: use '
            'something that can be imported, a registered name or plain data'
        )
    return _layout(f'{maker}(', _expressions(arguments, where), ')')


def _module(name: str) -> str:
    return f'importlib.import_module({name!r})'


def _expressions(values: Iterable, where: str) -> list[str]:
    return [_expression(v, f'{where}.{i}') for i, v in enumerate(values)]


def _layout(begin: str, items: list[str], end: str) -> str:
    """On one line if it fits, else one line for each item."""
    line = f'{begin}{", ".join(items)}{end}'
    if '\n' not in line and len(line) < _WIDTH:
        return line
    return f'{begin}\n' + textwrap.indent(',\n'.join(items), '    ') + end


def _literal(value: Any, where: str) -> str:
    return repr(value)


_WRITERS: dict[type, Callable[[Any, str], str]] = {
    **dict.fromkeys((bool, int, complex, type(None), type(...)), _literal),
    **dict.fromkeys((str, bytes), _text),
    **dict.fromkeys((set, frozenset), _set),
    **dict.fromkeys((LazyObject, LazyAttr), _lazy),
    float: _float,
    list: _list,
    tuple: _tuple,
    functools.partial: _partial,
}
