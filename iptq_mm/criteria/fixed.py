"""One function for each kind, chosen by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..registry import CRITERIA
from .base import Criterion
from .errors import CandidateErrors


@CRITERIA.register_module('fixed')
class Fixed(Criterion):
    """Takes the named function at every site: the papers' uniform baselines.

    Args:
        names: Name of the function for each kind, such as
            ``dict(gelu='…', softmax='…', layer_norm='…')``.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = dict(names)

    def check(self, candidates: Mapping[str, Collection[str]]) -> None:
        """See the base class; a kind that no model has may go without a name."""
        for kind, name in self.names.items():
            if name not in candidates.get(kind, ()):
                known = {k: sorted(v) for k, v in candidates.items()}
                raise ValueError(
                    f"the 'fixed' criterion names {name!r} for {kind}, which is no "
                    f'candidate: there are {known}'
                )

    def score(self, errors: CandidateErrors) -> float:
        """Nothing is compared."""
        return 0.0

    def choose(self, kind: str, candidates: Mapping[str, CandidateErrors]) -> str:
        """The name given for this kind.

        Raises:
            ValueError: If no name was given for the kind, or it is not among
                the candidates of the site.
        """
        available = ', '.join(sorted(candidates)) or 'none'
        if kind not in self.names:
            raise ValueError(
                f"the 'fixed' criterion names no function for {kind}, only for "
                f'{", ".join(sorted(self.names)) or "nothing"}; candidates: {available}'
            )
        name = self.names[kind]
        if name not in candidates:
            raise ValueError(
                f'{name!r} is no candidate for a {kind} here: it is not among the '
                'configured candidates, or cannot serve this site; candidates: '
                f'{available}'
            )
        return name
