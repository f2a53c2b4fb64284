"""Errors of candidates by hand, and criteria that choose among them."""

from __future__ import annotations

import math

from iptq_mm.criteria import CandidateErrors
from iptq_mm.registry import CRITERIA


def build(name, **options):
    return CRITERIA.build(dict(type=name, **options))


def errors(
    db=30.0, error=1.0, elements=100, images=1, cost=10.0, db_in=40.0, ratio=None
):
    signal = error * 10 ** (db / 10)
    return CandidateErrors(
        signal=signal,
        error=error,
        elements=elements,
        images=images,
        ratio=images * 10 ** (db / 10) if ratio is None else ratio,
        input_signal=10 ** (db_in / 10),
        input_error=1.0,
        input_ratio=images * 10 ** (db_in / 10),
        cost=cost,
        draws=images,
        output_error=error,
        weighted_error=error / 2,
    )


def n(x):
    return math.log(1 + math.exp(x))


# SQNR, squared error of an image and operations of four candidates, of the
# sizes that a ViT layer has: neither the best nor the cheapest wins everywhere.
SITES = {
    'precise pays': {
        'cheap': errors(db=18, error=30.0, cost=9.0),
        'middle': errors(db=30, error=4.0, cost=11.0),
        'best': errors(db=40, error=0.4, cost=21.0),
    },
    'cheap will do': {
        'cheap': errors(db=36, error=0.6, cost=9.0),
        'middle': errors(db=38, error=0.4, cost=11.0),
        'best': errors(db=40, error=0.2, cost=21.0),
    },
    'cheap collapses': {
        'cheap': errors(db=-20, error=3.0, cost=2.0),
        'middle': errors(db=-25, error=3.0, cost=3.0),
        'best': errors(db=35, error=1.0, cost=21.0),
    },
}


def chosen(criterion):
    return [criterion.choose('gelu', candidates) for candidates in SITES.values()]
