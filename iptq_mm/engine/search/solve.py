"""The 0/1 program of a search: one choice for each unit, within budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...calibration import ConfigError
from .choices import COSTS, Choice, Unit, total

#: The solver may stop at a solution whose objective is so near to the best, relatively.
GAP = 1e-6
#: Relative tolerance with which the solver keeps budgets.
_SLACK = 2e-6
#: Seconds after which the best solution so far is taken.
TIME_LIMIT = 60.0


def solve(
    units: Sequence[Unit],
    budgets: Mapping[str, float],
    objective: str | None = None,
) -> list[Choice]:
    """The choices that keep all budgets and have the least objective.

    It is a multiple-choice knapsack problem, solved by HiGHS (``scipy.optimize.milp``).

    Args:
        units: With their choices.
        budgets: The most of each of ``loss``, ``bytes`` and ``ms``, by name.
        objective: What shall be least; None: the first of these without a budget.

    Returns:
        One choice for each unit.

    Raises:
        ConfigError: If no choices keep the budgets.
    """
    unknown = [name for name in budgets if name not in COSTS]
    if unknown:
        raise ConfigError(f'no budget on {unknown[0]!r}: there are {[*COSTS]}')
    objective = objective or next((n for n in COSTS if n not in budgets), COSTS[0])
    for name, budget in budgets.items():
        least = sum(min(c.cost(name) for c in unit.choices) for unit in units)
        if least > budget:
            raise ConfigError(
                f'no choice of bits keeps {name}={budget:.6g}: the least is '
                f'{least:.6g}; allow more, or fewer bits'
            )
    names = [*budgets, objective]
    kept = [_undominated(unit.choices, names) for unit in units]
    for slack in (0.0, _SLACK):
        chosen = _solved(kept, budgets, objective, slack)
        if chosen and all(
            total(chosen, name) <= budget * (1 + 1e-12)
            for name, budget in budgets.items()
        ):
            return chosen
    raise ConfigError(
        'no choice of bits keeps all of '
        f'{", ".join(f"{n}={b:.6g}" for n, b in budgets.items())} at once: allow more '
        'of one of them, or other bits'
    )


def _undominated(choices: Sequence[Choice], names: Sequence[str]) -> list[Choice]:
    """The choices than which no other one is at least as good in all respects."""
    kept: list[Choice] = []
    for choice in sorted(choices, key=lambda c: [c.cost(n) for n in names]):
        if not any(all(k.cost(n) <= choice.cost(n) for n in names) for k in kept):
            kept.append(choice)
    return kept


def _solved(
    kept: Sequence[Sequence[Choice]],
    budgets: Mapping[str, float],
    objective: str,
    slack: float,
) -> list[Choice]:
    """The solution with budgets that are smaller by a share; empty: there is none."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_matrix

    variables = [choice for choices in kept for choice in choices]
    owner = np.repeat(np.arange(len(kept)), [len(choices) for choices in kept])
    ones = np.ones(len(variables))
    one_each = csr_matrix(
        (ones, (owner, np.arange(len(variables)))), shape=(len(kept), len(variables))
    )
    constraints = [LinearConstraint(one_each, 1, 1)]
    for name, budget in budgets.items():
        row = np.array([choice.cost(name) for choice in variables])
        scale = abs(budget) or 1.0  # all rows alike, for the tolerances of the solver
        constraints.append(
            LinearConstraint(row[None] / scale, -np.inf, budget / scale * (1 - slack))
        )
    worth = np.array([choice.cost(objective) for choice in variables])
    found = milp(
        worth / (np.abs(worth).max() or 1.0),
        constraints=constraints,
        integrality=ones,
        bounds=Bounds(0, 1),
        options={'mip_rel_gap': GAP, 'time_limit': TIME_LIMIT},
    )
    if found.x is None:
        return []
    picked = [[] for _ in kept]  # type: list[list[tuple[float, Choice]]]
    for unit, choice, value in zip(owner, variables, found.x, strict=True):
        picked[unit].append((value, choice))
    return [max(values, key=lambda v: v[0])[1] for values in picked]
