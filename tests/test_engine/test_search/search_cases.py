"""Synthetic units of a search."""

import itertools
import random

from iptq_mm.engine.search.choices import Choice, Unit, total


def units(count, weights=(3, 4, 8), activations=(4, 8), seed=0):
    """Units whose losses and costs are like those of layers of many sizes."""
    generator, made = random.Random(seed), []
    for i in range(count):
        size, sensitive = (
            generator.choice([1, 3, 4]) * 1e4,
            10 ** generator.gauss(-4, 1),
        )
        unit = Unit([f'backbone.layers.{i}/linear:0'])
        for weight, activation in itertools.product(weights, activations):
            noise = generator.uniform(0.8, 1.2)
            loss = sensitive * noise * (4.0**-weight + 4.0**-activation)
            ms = size * 1e-6 * (1.0 if weight > 4 else generator.uniform(0.6, 1.1))
            unit.choices.append(
                Choice(weight, activation, '', loss, size * weight / 8, ms)
            )
        made.append(unit)
    return made


def brute_force(given, budgets, objective):
    """The least objective of all combinations within the budgets; None: none is."""
    best = None
    for chosen in itertools.product(*(unit.choices for unit in given)):
        if all(total(chosen, name) <= budget for name, budget in budgets.items()):
            value = total(chosen, objective)
            best = value if best is None else min(best, value)
    return best
