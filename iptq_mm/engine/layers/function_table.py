"""How many sites of each model got which function."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence

from ...functions import function_name
from ...operations import OPERATIONS, NonLinear
from ...plan import RegionPlan, load_plan
from ...utils.markdown import table
from ...visualization import TITLES
from .work_dirs import file_in, names_of

#: Kind and name of a function.
Function = tuple[str, str]


def function_table(work_dirs: Sequence[str | os.PathLike]) -> str:
    """The number of sites with each function, as Markdown: a line for each model.

    Table 3 of "Mixed Non-linear Quantization for Vision Transformers". A function is
    named by its type, and by its options, too, where they differ between sites.

    Args:
        work_dirs: Folders that ``tools/quantize.py`` wrote.

    Raises:
        FileNotFoundError: If one has no ``plan.json``.
        PlanError: If that is damaged.
    """
    counts = {
        name: counted(load_plan(file_in(folder, 'plan.json')))
        for name, folder in names_of(work_dirs).items()
    }
    functions = _in_order(counts)
    header = ['model', *(f'{TITLES[kind]}: {name}' for kind, name in functions)]
    rows = [
        [model, *(count.get(function, '') for function in functions)]
        for model, count in counts.items()
    ]
    return table(header, rows, align='l' + 'r' * len(functions))


def counted(plans: Mapping[str, RegionPlan]) -> Counter[Function]:
    """The number of sites with each function, by kind and name with options."""
    return Counter(
        (site.operation, function_name(site.function))
        for plan in plans.values()
        for site in plan.sites.values()
        if site.function
    )


def _in_order(counts: dict[str, Counter[Function]]) -> list[Function]:
    """All functions, by kind and name; options are taken off where they tell nothing.

    The counts get the same names.
    """
    forms: dict[Function, set[str]] = {}
    for kind, name in {f for count in counts.values() for f in count}:
        forms.setdefault((kind, name.partition('(')[0]), set()).add(name)
    short = {
        (kind, next(iter(names))): (kind, bare)
        for (kind, bare), names in forms.items()
        if len(names) == 1
    }
    for model, count in counts.items():
        counts[model] = Counter({short.get(f, f): n for f, n in count.items()})
    kinds = [k for k, x in OPERATIONS.items() if isinstance(x, NonLinear)]
    functions = {f for count in counts.values() for f in count}
    return sorted(functions, key=lambda f: (kinds.index(f[0]), f[1]))
