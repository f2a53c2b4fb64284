"""A device that is none: tensors on it compute on the CPU, and refuse to meet others.

It stands in for a GPU where there is none. What runs on it moves every tensor to the
device of the model by itself: an operation on tensors of two devices is an error, as is
a look at the memory of a tensor (``numpy()``), just as on CUDA. It shows nothing of how
a GPU computes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

#: Its name, as ``torch.device`` has it.
NAME = 'pretend'
_aten = torch.ops.aten
#: Operations between devices.
_BETWEEN = {_aten.copy_.default, _aten._to_copy.default, _aten._copy_from.default}
_INDEXED = {_aten.index.Tensor}


class Pretended(Tensor):
    """A tensor on the device; ``raw`` is the tensor on the CPU that it stands for."""

    raw: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw: Tensor) -> 'Pretended':
        made = Tensor._make_wrapper_subclass(
            cls,
            raw.shape,
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=torch.device(NAME, 0),
        )
        made.raw = raw
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        """Run an operation on the CPU, if all of its tensors are on this device."""
        return _run(func, args, kwargs or {})

    def tolist(self) -> Any:
        """As of any device; torch itself has none for subclasses."""
        return self.raw.tolist()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        """Refused, as on CUDA."""
        raise TypeError(f'cannot convert {NAME} tensor to numpy: use .cpu() first')

    def untyped_storage(self) -> torch.UntypedStorage:
        """Tells which tensors share memory."""
        return self.raw.untyped_storage()

    def __getitem__(self, index: Any) -> Tensor:
        """Torch makes tensors of lists without asking subclasses."""
        given = index if isinstance(index, tuple) else (index,)
        return super().__getitem__(
            tuple(torch.tensor(i) if isinstance(i, (list, range)) else i for i in given)
        )

    def new_tensor(self, data: Any, **kwargs: Any) -> Tensor:
        """Likewise."""
        return torch.tensor(data, **{'dtype': self.dtype, **kwargs}).to(self.device)

    def __deepcopy__(self, memo: dict) -> Tensor:
        copied = self.detach().clone().requires_grad_(self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __repr__(self) -> str:
        return f'pretended({self.raw})'


def _run(func: Any, args: Any, kwargs: dict) -> Any:
    leaves = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
    given = [x for x in leaves if isinstance(x, Pretended)]
    others = [x for x in leaves if not isinstance(x, Pretended)]
    if func in _INDEXED and isinstance(args[0], Pretended):
        others = []  # torch takes indices of the CPU
    # A number in a CPU tensor may meet a GPU's tensors.
    if given and func not in _BETWEEN and any(x.dim() for x in others):
        raise RuntimeError(
            f'{func}: expected all tensors to be on the same device, but found two, '
            f'{NAME}:0 and {others[0].device}'
        )
    to = kwargs.get('device')
    here = bool(given) if to is None else torch.device(to).type == NAME
    if to is not None:
        kwargs = {**kwargs, 'device': torch.device('cpu')}
    if kwargs.get('pin_memory'):
        kwargs = {**kwargs, 'pin_memory': False}
    by_raw = {id(x.raw): x for x in given}
    raw_args, raw_kwargs = tree_map(
        lambda x: x.raw if isinstance(x, Pretended) else x, (args, kwargs)
    )
    result = func(*raw_args, **raw_kwargs)

    def wrapped(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        if id(x) in by_raw:  # changed in place
            return by_raw[id(x)]
        return Pretended(x) if here else x

    if func is _aten.copy_.default:
        return args[0]
    return tree_map(wrapped, result)


def with_kernel(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel of an extension, for tensors of the CPU, as one for the device too."""

    def run(*args: Any, **kwargs: Any) -> Any:
        leaves = tree_flatten((args, kwargs))[0]
        if not any(isinstance(x, Pretended) for x in leaves):
            return kernel(*args, **kwargs)
        return _run(kernel, args, kwargs)

    return run


class _Backend:
    """What torch asks of the module of a device."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]

    def manual_seed_all(self, seed: int) -> None:
        pass

    def _is_in_bad_fork(self) -> bool:
        return False


_library: Any = None


@contextmanager
def pretending() -> Iterator[torch.device]:
    """Have the device while the block runs."""
    makers = {name: getattr(torch, name) for name in ('tensor', 'as_tensor', 'arange')}

    def maker(make: Any) -> Any:
        # Torch makes these without asking subclasses, or changes sizes on the way.
        def made(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> Tensor:
            if device is None or torch.device(device).type != NAME:
                return make(data, *args, device=device, **kwargs)
            return make(data, *args, **kwargs).to(device)

        return made

    device = _registered()
    for name, make in makers.items():
        setattr(torch, name, maker(make))
    try:
        yield device
    finally:
        for name, make in makers.items():
            setattr(torch, name, make)


def _registered() -> torch.device:
    """Make the device known to torch, for the rest of the process."""
    global _library
    if _library is None:
        from torch.utils import backend_registration

        backend_registration._setup_privateuseone_for_python_backend(
            NAME, backend_module=_Backend()
        )
        _library = torch.library.Library('_', 'IMPL', 'PrivateUse1')
        _library.fallback(lambda op, *args, **kwargs: _run(op, args, kwargs))
    return torch.device(NAME, 0)
