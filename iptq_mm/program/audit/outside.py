"""What of a model is not integer: everything outside its regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ...kept_float import kept_float
from ...modes import bound_region
from ...utils.macs import macs
from ...utils.trees import tree_leaves

#: What leaves a model's values as they are when it runs.
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@dataclass(frozen=True)
class FloatPart:
    """A part of a model outside the regions.

    Attributes:
        path: Where in the model; ``''``: the code of the model itself.
        type: Its class.
        parameters: How many numbers it learned.
        layers: Modules in it that ran, by class.
        helpers: What it has besides modules: box coders, non-maximum suppression.
        operations: Float aten operations that ran in it, by name.
        macs: Multiplications with additions of its products of floats.
    """

    path: str
    type: str
    parameters: int = 0
    layers: dict[str, int] = field(default_factory=dict)
    helpers: list[str] = field(default_factory=list)
    operations: dict[str, int] = field(default_factory=dict)
    macs: int = 0

    @property
    def computes(self) -> bool:
        """Whether it has a share in the result."""
        return bool(self.parameters or self.layers or self.operations)


class Watch:
    """Watches one run of a model.

    Attributes:
        calls: Arguments of each call of a region, by the region's path.
        ran: Paths of the modules outside regions that ran.
        operations: Float operations outside regions, by path and name.
        macs: Multiplications with additions of products of floats, by path.
    """

    def __init__(self) -> None:
        self.calls: dict[str, list[tuple[tuple, dict]]] = {}
        self.ran: set[str] = set()
        self.operations: dict[str, Counter[str]] = {}
        self.macs: Counter[str] = Counter()
        self._stack: list[str] = []
        self._inside: list[bool] = [False]

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Watch whatever runs in a ``with`` block."""
        with ExitStack() as stack:
            for path, module in outside(model):
                stack.enter_context(_removed(self._hooks(path, module)))
            stack.enter_context(_FloatOperations(self))
            yield

    def _hooks(self, path: str, module: nn.Module) -> list[Any]:
        region = bound_region(module) is not None

        def enter(module: nn.Module, args: tuple, kwargs: dict) -> None:
            self._stack.append(path)
            self._inside.append(region)
            if region:
                self.calls.setdefault(path, []).append((args, kwargs))
            else:
                self.ran.add(path)

        def leave(module: nn.Module, args: tuple, output: Any) -> None:
            self._stack.pop()
            self._inside.pop()

        return [
            module.register_forward_pre_hook(enter, with_kwargs=True),
            module.register_forward_hook(leave, always_call=True),
        ]

    def float_operation(self, name: str, macs: int) -> None:
        """Count an operation that takes or makes floats, if it is outside."""
        if not self._inside[-1]:
            path = self._stack[-1] if self._stack else ''
            self.operations.setdefault(path, Counter())[name] += 1
            self.macs[path] += macs


class _FloatOperations(TorchDispatchMode):
    """Tells a :class:`Watch` of each operation that computes with floats."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and any(
            isinstance(x, Tensor) and x.is_floating_point()
            for x in tree_leaves((args, result))
        ):
            name = func._schema.name.partition('::')[2]
            self._watch.float_operation(name, macs(func, args, kwargs or {}, result))
        return result


def outside(model: nn.Module, path: str = '') -> Iterator[tuple[str, nn.Module]]:
    """Modules outside regions, and the regions themselves, with their paths.

    Modules in a region that stay float are outside of it.
    """
    yield path, model
    if bound_region(model) is None:
        for name, child in model.named_children():
            yield from outside(child, f'{path}.{name}' if path else name)
    else:
        for name in kept_float(model):
            child = model.get_submodule(name)
            yield from outside(child, f'{path}.{name}' if path else name)


def float_parts(model: nn.Module, watch: Watch) -> list[FloatPart]:
    """The parts outside the regions that hold parameters or compute.

    Args:
        model: A model with bound regions.
        watch: Has watched a run of it.

    Returns:
        The largest parts without a region in them, and what is around them; of a
        region what it has besides its ``forward``.
    """
    found = []
    for path, module in _parts(model):
        whole = not _holds_region(module)
        inner = dict(outside(module, path)) if whole else {path: module}
        operations: Counter[str] = Counter()
        for p in inner:
            operations.update(watch.operations.get(p, {}))
        layers = Counter(
            type(m).__name__
            for p, m in inner.items()
            if p in watch.ran and not any(m.children()) and not isinstance(m, _NOTHING)
        )
        part = FloatPart(
            path,
            type(module).__name__,
            sum(p.numel() for p in module.parameters(recurse=whole)),
            dict(layers) if whole else {},
            sorted({name for m in inner.values() for name in _helpers(m)}),
            dict(operations),
            sum(watch.macs[p] for p in inner),
        )
        if part.computes:
            found.append(part)
    for path, module in outside(model):
        names = {name for m in module.modules() for name in _helpers(m)}
        if names and bound_region(module) is not None:
            kind = type(module).__name__
            found.append(FloatPart(path, kind, helpers=sorted(names)))
    return found


def _parts(model: nn.Module, path: str = '') -> Iterator[tuple[str, nn.Module]]:
    """The largest modules without a region, and those around regions."""
    if bound_region(model) is not None:
        for name in kept_float(model):
            yield f'{path}.{name}' if path else name, model.get_submodule(name)
        return
    yield path, model
    if _holds_region(model) or not path:
        for name, child in model.named_children():
            yield from _parts(child, f'{path}.{name}' if path else name)


def _holds_region(module: nn.Module) -> bool:
    return any(bound_region(m) is not None for m in module.modules())


def _helpers(module: nn.Module) -> Iterator[str]:
    """Names of what computes beside the modules: it decodes boxes, or drops some."""
    for value in vars(module).values():
        if callable(getattr(value, 'decode', None)) and not isinstance(value, bytes):
            yield type(value).__name__
    yield from _suppressions(getattr(module, 'test_cfg', None))


def _suppressions(cfg: Any) -> Iterator[str]:
    """Kinds of non-maximum suppression in a config."""
    if isinstance(cfg, Mapping):
        for key, value in cfg.items():
            if key == 'nms' and isinstance(value, Mapping):
                yield str(value.get('type', 'nms'))
            else:
                yield from _suppressions(value)


@contextmanager
def _removed(handles: list[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
