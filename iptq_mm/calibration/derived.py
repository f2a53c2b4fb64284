"""Tensors that modules derived from their parameters and keep, before calibration.

A derived tensor has to be computed again from the integers, in this process and
wherever the checkpoint is loaded. Tensors that ``train()``, ``eval()`` or loading
compute are (:func:`~iptq_mm.modes.real_parameters.derive_again`), and so are tensors
that calls of the region compute, since calls leave nothing behind. All others are
forgotten or refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mmengine.logging import print_log
from torch import Tensor, nn

from ..modes.attributes import Attributes, own_attributes
from ..modes.real_parameters import derive_again
from ..utils.trees import tree_leaves
from .batches import Forward
from .config import ConfigError, QuantizationConfig
from .evaluating import evaluating
from .rewrites.kept_calls import Call, change, kept_calls

#: Relative difference of the float outputs that a cache makes which is made anew.
TOLERANCE = 1e-3


class Kept(NamedTuple):
    """An attribute or a buffer without a place in checkpoints that holds tensors.

    Attributes:
        path: Of its module.
        name: Its name there.
        holder: The dict that has it.
        value: Its value.
    """

    path: str
    name: str
    holder: dict[str, Any]
    value: Any

    def tensors(self) -> list[Tensor]:
        """The float tensors in its value."""
        leaves = tree_leaves(self.value)
        return [x for x in leaves if isinstance(x, Tensor) and x.is_floating_point()]


def check_derived(name: str, module: nn.Module) -> None:
    """Make sure that the parameters of a region are where integers can replace them.

    Args:
        name: The region.
        module: Its float module.

    Raises:
        ConfigError: If it has other parameters in eval mode than before, or keeps
            parameters, or views of them, outside of torch's own places.
    """
    before = dict(module.named_parameters())
    with evaluating(module):
        after = dict(module.named_parameters())
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) is not after.get(key):
                raise ConfigError(
                    f"region '{name}' makes the parameter '{key}' anew in eval(), "
                    'where integers cannot follow: give the config the form that is '
                    'deployed (deploy=True, say) and a checkpoint of that'
                )
        storages = {p.untyped_storage().data_ptr(): n for n, p in after.items()}
        for kept in _kept_unchanged(module):
            for value in kept.tensors():
                parameter = storages.get(value.untyped_storage().data_ptr())
                if parameter is not None and value.numel():
                    raise ConfigError(
                        f"region '{name}': attribute '{kept.name}' of module "
                        f"'{kept.path or '(itself)'}' keeps the parameter "
                        f"'{parameter}' or a view of it, where integers cannot replace "
                        'it: register it (nn.ParameterList), or take it where it is'
                    )


def forget_caches(
    model: nn.Module, config: QuantizationConfig, forward: Forward, batches: Iterable
) -> dict[str, list[str]]:
    """Empty the caches that calls of the float model left in attributes of regions.

    A cache may hold results of the float parameters, and would keep them. An attribute
    is a cache if a call computes it again when it is missing.

    Args:
        model: The float model.
        config: What to quantize.
        forward: Runs a batch.
        batches: Calibration batches; the first one is run, if anything is kept.

    Returns:
        By region, the attributes that were caches.
    """
    done: dict[str, list[str]] = {}
    for name in config.regions:
        module = model.get_submodule(name)
        with evaluating(module):
            left = _kept_unchanged(module)
        if not left:
            continue
        calls = kept_calls(model, [name], forward, batches)
        with evaluating(model):
            forgotten = _forget(module, left, calls)
        if forgotten:
            done[name] = [f'{k.path}.{k.name}'.removeprefix('.') for k in forgotten]
            print_log(
                f"region '{name}' makes anew what earlier calls left in {done[name]}",
                'current',
            )
    return done


def _kept(module: nn.Module) -> list[Kept]:
    """Attributes and buffers with tensors that checkpoints do not hold."""
    return [
        kept
        for path, child in module.named_modules()
        for holder, names in (
            (vars(child), own_attributes(child)),
            (child._buffers, child._non_persistent_buffers_set),
        )
        for name in sorted(names)
        if (kept := Kept(path, name, holder, holder.get(name))).tensors()
    ]


def _kept_unchanged(module: nn.Module) -> list[Kept]:
    """The kept tensors that train(), eval() and loading do not compute again."""
    before = {(k.path, k.name): k.value for k in _kept(module)}
    derive_again(module, None)
    return [k for k in _kept(module) if before.get((k.path, k.name)) is k.value]


def _forget(
    module: nn.Module, left: Sequence[Kept], calls: Sequence[Call]
) -> list[Kept]:
    """Remove caches; returns them. Modules of one class are tried together."""
    groups: dict[tuple[type, str], list[Kept]] = {}
    for kept in left:
        kind = type(module.get_submodule(kept.path))
        groups.setdefault((kind, kept.name), []).append(kept)
    before, forgotten = _outputs(module, calls), list[Kept]()
    for group in groups.values():
        for undo in _ways_to_undo(module, group):
            if _made_anew(module, group, undo, calls, before):
                undo()
                forgotten += group
                break
    return forgotten


def _ways_to_undo(module: nn.Module, group: Sequence[Kept]) -> Iterator[Callable]:
    """Ways to reset attributes so that code computes them again."""

    def every(act: Callable[[Kept], Any]) -> Callable[[], Any]:
        return lambda: [act(kept) for kept in group]

    if all(isinstance(kept.value, dict | list) for kept in group):
        yield every(lambda kept: kept.value.clear())
    yield every(lambda kept: kept.holder.update({kept.name: None}))
    yield every(lambda kept: kept.holder.pop(kept.name))
    child = module.get_submodule(group[0].path)
    for name in own_attributes(child):  # a flag, or what it was made for
        if isinstance(vars(child)[name], bool | int | str | tuple):

            def reset(kept: Kept, name: str = name) -> None:
                own = vars(module.get_submodule(kept.path))
                own[name] = not own[name] if isinstance(own[name], bool) else None

            yield every(reset)


def _made_anew(
    module: nn.Module,
    group: Sequence[Kept],
    undo: Callable[[], Any],
    calls: Sequence[Call],
    expected: Sequence[Tensor],
) -> bool:
    """Whether calls compute it again, with the same outputs; all is put back."""
    attributes = Attributes(module.modules())
    tensors = [list(map(id, kept.tensors())) for kept in group]
    try:
        undo()
        outputs = _outputs(module, calls)
        now = [kept._replace(value=kept.holder.get(kept.name)) for kept in group]
        made = [list(map(id, kept.tensors())) for kept in now]
        anew = all(m and m != t for m, t in zip(made, tensors, strict=True))
        return anew and change(expected, outputs) <= TOLERANCE
    except Exception:  # whatever code raises that misses something
        return False
    finally:
        attributes.put_back()


def _outputs(module: nn.Module, calls: Sequence[Call]) -> list[Tensor]:
    """The float outputs of calls."""
    leaves = tree_leaves([module(*call.args, **call.kwargs) for call in calls])
    return [x for x in leaves if isinstance(x, Tensor) and x.is_floating_point()]
