"""The error of operations that have no integer rule, and how its message is built."""

from __future__ import annotations

from .context import describe_location

#: What to do about model code that no rule covers.
SMALLER_REGION = 'choose a smaller region in quantization.regions'


class UnsupportedOperationError(NotImplementedError):
    """An operation that integers have no rule for, or that would bypass the rules."""


def unsupported(what: str, remedy: str = SMALLER_REGION) -> UnsupportedOperationError:
    """The error for an operation that the running region cannot compute.

    Args:
        what: What is not supported, a clause: ``'division by a tensor has no rule'``.
        remedy: What the user can do about it, an imperative.

    Returns:
        The error, to be raised. Its message is ``<where>: <what>; <remedy>``, where
        ``<where>`` names the region and the running module.
    """
    return UnsupportedOperationError(f'{describe_location()}: {what}; {remedy}')
