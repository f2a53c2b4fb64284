"""The complete state dict of a model, and whether its regions load from it."""

from __future__ import annotations

from collections import OrderedDict

from mmengine.runner.checkpoint import load_state_dict
from torch import Tensor, nn

from ...calibration import ConfigError


def whole_state(model: nn.Module) -> OrderedDict[str, Tensor]:
    """The state dict of a model, with what hooks of its modules leave out.

    A ``LoRAModel``, for instance, saves the trained parameters only, and expects the
    others in another file.

    Args:
        model: The model.

    Returns:
        Tensors that share memory with those of the model.
    """
    given = model.state_dict()
    state = OrderedDict(given)
    # A hook may have given it another name.
    known = {(v.data_ptr(), v.shape) for v in state.values() if isinstance(v, Tensor)}
    for path, module in model.named_modules(remove_duplicate=False):
        kept = {
            k: v
            for k, v in module._buffers.items()
            if k not in module._non_persistent_buffers_set
        }
        for key, value in {**module._parameters, **kept}.items():
            if value is not None and (value.data_ptr(), value.shape) not in known:
                state[f'{path}.{key}' if path else key] = value.detach()
    if hasattr(given, '_metadata'):
        state._metadata = given._metadata  # type: ignore[attr-defined]
    return state


def check_state(model: nn.Module, regions: list[str]) -> None:
    """Make sure that the saved parameters of regions can be loaded again.

    The model loads its own weights, which leaves them as they are.

    Args:
        model: The float model.
        regions: Paths of the regions.

    Raises:
        ConfigError: If the loading code of a region leaves out a parameter.
    """
    wanted = {
        f'{name}.{key}': value
        for name in regions
        for key, value in model.get_submodule(name).named_parameters()
        if value.numel()
    }
    before = {key: value._version for key, value in wanted.items()}
    # Copies, since hooks may change what is loaded.
    state = whole_state(model)
    for key, value in state.items():
        state[key] = value.clone()
    load_state_dict(model, state, strict=False, logger='silent')
    left = [key for key, value in wanted.items() if value._version == before[key]]
    if left:
        name = next(n for n in regions if left[0].startswith(f'{n}.'))
        kind = type(model.get_submodule(name)).__name__
        raise ConfigError(
            f"region '{name}' cannot be written: {kind} has hooks of its own for state "
            f"dicts, which do not load '{left[0]}' ({len(left)} parameters in all); "
            'quantize a module that loads all that it is made of'
        )
