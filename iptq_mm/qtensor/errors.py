"""Errors of the rule table."""


class UnsupportedOperationError(NotImplementedError):
    """An operation that integers have no rule for, or that would bypass them."""
