"""Methods: the functions with which a whole model is quantized at once, one a kind.

The whole-model analysis runs the model once with the functions of each method. So every
candidate has to belong to one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...functions import function_name
from .candidates import check_function
from .reading import ConfigError, meant

#: What each paper's code computes with, by type. FQ-ViT leaves GELU in float, and
#: IPTQ-ViT has no LayerNorm of its own.
PAPERS = {
    'I-BERT': ('i_gelu', 'i_softmax', 'ibert_layernorm'),
    'FQ-ViT': ('log_int_softmax', 'fqvit_layernorm'),
    'I-ViT': ('shift_gelu', 'shiftmax', 'ivit_layernorm'),
    'IPTQ-ViT': ('poly_gelu', 'bit_softmax'),
}
#: Where a method has no function: the nearest to the float function, with 16 bits.
STAND_INS = {
    'gelu': {'type': 'interpolated_gelu'},
    'softmax': {'type': 'table_softmax'},
    'layer_norm': {'type': 'ibert_layernorm'},
    'unary': {'type': 'interpolated_unary'},
}
#: Kinds that no paper has functions for, and few models have sites of: methods need not
#: name them.
BESIDE = ('unary',)


class Method(NamedTuple):
    """One function for each kind.

    Attributes:
        functions: Registry dicts by kind.
        measured: Kinds whose function is a candidate that this method stands for. The
            functions of the other kinds only make the model complete.
    """

    functions: dict[str, dict[str, Any]]
    measured: frozenset[str]

    def __str__(self) -> str:
        """The names of the functions, but :data:`BESIDE`; stand-ins in parentheses."""
        names = {kind: function_name(cfg) for kind, cfg in self.functions.items()}
        return ', '.join(
            name if kind in self.measured else f'({name})'
            for kind, name in names.items()
            if kind not in BESIDE
        )


def methods_of(
    candidates: Mapping[str, Mapping[str, dict]], given: Sequence[Any] = ()
) -> list[Method]:
    """The methods that a whole-model analysis runs: each candidate is in one.

    Candidates of one paper (:data:`PAPERS`) are one method; of a second one for the
    same kind, such as its literal form, another method is made. Candidates of no paper
    fill the first method that lacks their kind, or make a new one. What a method lacks
    then has a stand-in (:data:`STAND_INS`). If no given method names a kind of
    :data:`BESIDE`, its stand-in is measured alone.

    Args:
        candidates: By kind and name.
        given: Methods as a config names them: by kind, the name of a candidate, or the
            registry dict of any function. Empty: they are made up.

    Raises:
        ConfigError: If a given method is none, or a candidate is in none of them.
    """
    made = _given(candidates, given) if given else _made_up(candidates)
    needed = {kind: list(named) for kind, named in candidates.items()}
    for kind in set(BESIDE) & candidates.keys():
        if not any(kind in functions for functions in made):
            first = next(iter(candidates[kind].values()))
            stand_in = STAND_INS.get(kind, first)
            known = function_name(stand_in) in candidates[kind]
            made[0] = {**made[0], kind: stand_in if known else first}
            needed[kind] = []
    methods, seen = [], set[tuple[str, str]]()
    for functions in made:
        complete, measured = {}, set[str]()
        for kind in candidates:
            first = next(iter(candidates[kind].values()))
            cfg = functions.get(kind) or STAND_INS.get(kind, first)
            complete[kind] = cfg
            place = kind, function_name(cfg)
            if place[1] in candidates[kind] and kind in functions and place not in seen:
                seen.add(place)
                measured.add(kind)
        methods.append(Method(complete, frozenset(measured)))
    missing = [n for k, names in needed.items() for n in names if (k, n) not in seen]
    if missing:
        raise ConfigError(
            f'quantization.methods: {", ".join(missing)} is in no method, so that '
            'nothing would be known of it: add a method, or take it out of candidates'
        )
    return methods


def _made_up(candidates: Mapping[str, Mapping[str, dict]]) -> list[dict[str, dict]]:
    made: dict[tuple[str, int], dict[str, dict]] = {}
    left: list[tuple[str, dict]] = []
    for kind, named in candidates.items():
        used: dict[str, int] = {}
        for cfg in named.values():
            paper = next((p for p, names in PAPERS.items() if cfg['type'] in names), '')
            if not paper:
                left.append((kind, cfg))
                continue
            number = used[paper] = used.get(paper, -1) + 1
            made.setdefault((paper, number), {})[kind] = cfg
    methods = list(made.values())
    for kind, cfg in left:
        room = next((m for m in methods if kind not in m), None)
        if room is None:
            methods.append({kind: cfg})
        else:
            room[kind] = cfg
    return methods


def _given(
    candidates: Mapping[str, Mapping[str, dict]], given: Sequence[Any]
) -> list[dict[str, dict]]:
    methods = []
    for i, method in enumerate(given):
        where = f'quantization.methods[{i}]'
        if not isinstance(method, Mapping) or not method:
            raise ConfigError(
                f'{where} is a dict of functions by kind, such as '
                f"dict(gelu='i_gelu', softmax='i_softmax'), not {method!r}"
            )
        made = {}
        for kind, function in method.items():
            if kind not in candidates:
                raise ConfigError(
                    f'{where} has no kind {kind!r}; there are {[*candidates]}'
                    f'{meant(kind, list(candidates))}'
                )
            if isinstance(function, str):
                if function not in candidates[kind]:
                    names = list(candidates[kind])
                    raise ConfigError(
                        f'{where}.{kind}: {function!r} is no candidate; there are '
                        f'{names}{meant(function, names)}'
                    )
                function = candidates[kind][function]
            check_function(kind, function, f'{where}.{kind}')
            made[kind] = function
        methods.append(made)
    return methods
