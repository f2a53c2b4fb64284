"""The parts of a region that are reconstructed one after another."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from torch import nn


def parts_of(
    module: nn.Module, calls: Mapping[str, int], without: Container[str] = ()
) -> list[str]:
    """Paths of the parts of a region, each of which is reconstructed as a whole.

    Blocks of a transformer are parts: the smallest members of a list of modules with
    two LayerNorms. What contains no block is a part as a whole, patch embeddings,
    merging layers and heads for instance. A part is called once in a pass, and has a
    parameter.

    Args:
        module: The module of the region.
        calls: How often each sub-module is called in a pass, by path.
        without: Names of parameters that nothing may change.
    """

    def walk(path: str, part: nn.Module) -> Iterator[str]:
        usable = calls.get(path) == 1 and _has_parameters(part)
        if path and usable and (is_block(path, part) or not _has_blocks(part)):
            prefix = f'{path}.'
            if not any(prefix + n in without for n, _ in part.named_parameters()):
                yield path
            return
        for name, child in part.named_children():
            yield from walk(f'{path}.{name}' if path else name, child)

    return list(walk('', module))


def has_blocks(module: nn.Module) -> bool:
    """Whether a module contains a block of a transformer."""
    return _has_blocks(module)


def is_block(path: str, module: nn.Module) -> bool:
    """Whether a module is a block of a transformer."""
    numbered = path.rpartition('.')[2].isdecimal()
    return numbered and _norms(module) >= 2 and not _has_blocks(module)


def _has_blocks(module: nn.Module) -> bool:
    return any(
        name.rpartition('.')[2].isdecimal() and _norms(child) >= 2
        for name, child in module.named_modules()
        if name
    )


def _norms(module: nn.Module) -> int:
    return sum(isinstance(child, nn.LayerNorm) for child in module.modules())


def _has_parameters(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())
