"""Replacement of float modules by faster ones that give the same results."""

from __future__ import annotations

from torch import nn


class Replacement:
    """Mixed into a subclass of a module class, to replace modules of that class.

    A module is replaced by making it a member of the subclass, and restored by making
    it a member of its own class again. The subclass has methods only, no state, and its
    bases are ``Replacement`` and the module's class, in this order.
    """


def restore(model: nn.Module) -> None:
    """Undo :meth:`~.base.Backend.accelerate`: each module gets its own class again."""
    for module in model.modules():
        if isinstance(module, Replacement):
            classes = type(module).__mro__
            module.__class__ = classes[classes.index(Replacement) + 1]
