"""Modules in a region that stay float: which they are, and what they are not part of.

Such a module gets floats from the integers around it and returns floats, which become
integers again. Its parameters stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import nn

#: Attribute that marks a module.
_MARK = 'iptq_kept_float'
#: Begin of the names of values that enter a region from such a module.
RETURNED = 'float:'


def keep_float(module: nn.Module, paths: Iterable[str]) -> None:
    """Mark the sub-modules of a region's module that stay float, instead of others.

    Raises:
        AttributeError: If a sub-module does not exist.
    """
    for child in module.modules():
        vars(child).pop(_MARK, None)
    for path in paths:
        vars(module.get_submodule(path))[_MARK] = True


def kept_float(module: nn.Module, prefix: str = '') -> list[str]:
    """Paths of the sub-modules of a region's module that stay float."""
    found: list[str] = []
    for name, child in module.named_children():
        path = f'{prefix}{name}'
        if _MARK in vars(child):
            found.append(path)
        else:
            found += kept_float(child, f'{path}.')
    return found


def quantized_modules(
    module: nn.Module, seen: set[nn.Module] | None = None
) -> Iterator[nn.Module]:
    """A region's module, and the sub-modules that are not in a float one.

    Args:
        module: The region's module.
        seen: Those that came already: one that several modules share comes once.
    """
    seen = set() if seen is None else seen
    seen.add(module)
    yield module
    for child in module.children():
        if _MARK not in vars(child) and child not in seen:
            yield from quantized_modules(child, seen)


def quantized_parameters(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters of a region's module that become integers, with their names."""
    kept = tuple(f'{path}.' for path in kept_float(module))
    seen: set[int] = set()
    for name, value in module.named_parameters(remove_duplicate=False):
        if not name.startswith(kept) and id(value) not in seen:
            seen.add(id(value))
            yield name, value


def returned_name(path: str, number: int) -> str:
    """The name of a value that a module kept float returns to its region."""
    return f'{RETURNED}{path}:{number}'
