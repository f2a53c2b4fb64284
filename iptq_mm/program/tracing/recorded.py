"""Integers that know which value of the program they are.

A :class:`Recorded` tensor is the payload of a QTensor while a program is traced. Rules
call torch functions on it as they do in integer mode. Each function that they may call
has a handler here, which records a node. Any other function is an error, because its
result might depend on the integers in a way that the program does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...qtensor.errors import unsupported
from ...qtensor.rules.dispatch import function_name
from ...qtensor.rules.metadata import SIZE_QUERIES
from ...utils.trees import tree_leaves
from .recorder import Recorder

_METADATA = {
    *SIZE_QUERIES,
    Tensor.dtype.__get__,  # type: ignore[attr-defined]
    Tensor.requires_grad.__get__,  # type: ignore[attr-defined]
    Tensor.is_floating_point,
    torch.is_floating_point,
    Tensor.is_inference,
    Tensor.untyped_storage,
    Tensor.storage_offset,
    Tensor.element_size,
}
#: Questions about the device, which is that of the integers, not of their outline.
_DEVICE: dict[Any, Callable[[torch.device], Any]] = {
    Tensor.device.__get__: lambda home: home,  # type: ignore[attr-defined]
    Tensor.is_cuda.__get__: lambda home: home.type == 'cuda',  # type: ignore[attr-defined]
    Tensor.get_device: lambda home: -1 if home.index is None else home.index,
}
#: Plain tensors that have nothing of the integers but their shape.
_NEW = {torch.zeros_like, torch.empty_like, Tensor.new_zeros, Tensor.new_empty}
#: What to do about a function without a handler.
REMEDY = (
    'run this model in eager integer mode, use_backend(model, None), or write the rule '
    'with functions that have a handler in program/tracing/handlers.py'
)


#: torch function -> handler(function, tensor, other arguments, keyword arguments); with
#: 'alpha', for sums with a multiple of another recorded tensor. See :mod:`.handlers`.
HANDLERS: dict[Any, Callable] = {}


class Recorded(Tensor):
    """A tensor of integers that is value ``number`` of ``recorder``.

    It is an outline: a tensor on the meta device, which has shape, strides and type,
    and no elements. Nothing is computed while a program is traced.

    Attributes:
        recorder: Records what is done with it.
        number: Number of its value; an in-place operation gives it another one.
        shared: Whether another tensor views the same memory.
        home: The device that the module's code sees.
        plain: The outline alone.
    """

    recorder: Recorder
    number: int
    shared: bool
    home: torch.device
    plain: Tensor
    # Attributes of an instance, which are found without asking __torch_function__.
    # Rules ask for them several times a call.
    shape = torch.Size()
    device = torch.device('meta')

    @staticmethod
    def wrap(
        payload: Tensor,
        recorder: Recorder,
        number: int,
        home: torch.device | None = None,
    ) -> Recorded:
        """An outline as value ``number``.

        Args:
            payload: The outline, or integers of which it is one.
            recorder: Records what is done with it.
            number: Number of its value.
            home: The device that the module's code sees; None: that of ``payload``.
        """
        outline = payload if payload.is_meta else payload.to('meta')
        self = outline.as_subclass(Recorded)
        self.recorder, self.number, self.shared = recorder, number, False
        self.plain, self.shape = outline, outline.shape
        self.home = self.device = payload.device if home is None else home
        return self

    def untyped_storage(self) -> torch.UntypedStorage:
        """See the base class."""
        return self.plain.untyped_storage()

    def is_floating_point(self) -> bool:
        """See the base class."""
        return False

    def dim(self) -> int:
        """See the base class."""
        return len(self.shape)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run ``func``, and record it."""
        kwargs = kwargs or {}
        source: Any = args[0] if args else None
        if func in _DEVICE:
            return _DEVICE[func](source.home)
        if func in _METADATA:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        if func in _NEW:
            options = {'device': source.home, **kwargs}
            return func(source.plain, *args[1:], **options)
        rest = tree_leaves((args[1:], kwargs))
        handler = HANDLERS.get(func)
        if 'alpha' in kwargs and any(isinstance(x, Recorded) for x in rest):
            # A sum with a multiple, whose second operand may be such a value, too.
            handler, rest = HANDLERS.get((func, 'alpha')), []
        if (
            handler is None
            or not isinstance(source, Recorded)
            or any(isinstance(x, Recorded) for x in rest)
        ):
            raise unsupported(
                f'a rule calls {function_name(func)} on integers that depend on the '
                'input, and no kind of node stands for it',
                REMEDY,
            )
        return handler(func, source, args[1:], kwargs)


def outline(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A contiguous tensor without elements.

    Most functions of torch take ten to a hundred times as long to make one, because
    they have no kernel for the meta device but Python code.
    """
    return torch.empty(shape, dtype=dtype, device='meta')
