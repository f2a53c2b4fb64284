"""Figures of a run on the graph of its ONNX file, for Google's Model Explorer.

Model Explorer (``pip install ai-edge-model-explorer model-explorer-onnx``) colours the
nodes of a graph by files of "node data", JSON as ``node_data_builder.py`` of that
package documents it: by graph, a name, a gradient, and values by node.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ....calibration import ConfigError
from ....utils.files import atomic_write
from ..sites import site_rows
from ..work_dir import read_work_dir


class Figure(NamedTuple):
    """A figure of sites that colours nodes.

    Attributes:
        key: Its name in a file name.
        name: What Model Explorer calls it.
        colours: Of the least value, the middle, and the largest.
    """

    key: str
    name: str
    colours: tuple[str, str, str]


_GOOD_LOW = ('#ffffff', '#fee08b', '#f46d43')
_GOOD_HIGH = ('#f46d43', '#fee08b', '#ffffff')
_NEUTRAL = ('#ffffff', '#c6dbef', '#6baed6')
FIGURES = (
    Figure('sqnr_db', 'SQNR at the output, dB', _GOOD_HIGH),
    Figure('lost_db', 'SQNR that is lost, dB', _GOOD_LOW),
    Figure('clipped', 'clipped values, %', _GOOD_LOW),
    Figure('range', 'largest value of the range', _NEUTRAL),
    Figure('bits', 'bits of the output', _NEUTRAL),
)


def write_node_data(
    onnx_file: str | os.PathLike, work_dir: str | os.PathLike
) -> list[Path]:
    """Write node data beside an ONNX file, a file for each figure that is known.

    Args:
        onnx_file: What ``tools/export.py`` wrote of the model of the run.
        work_dir: Folder of the run.

    Returns:
        The files: ``model.sqnr_db.json`` and so on, for "model.onnx".

    Raises:
        ConfigError: If no node belongs to a site of the run.
        FileNotFoundError: If the run left no results.
        RuntimeError: If the package onnx is missing.
    """
    try:
        import onnx
    except ImportError as e:
        raise RuntimeError(
            'the package onnx is missing: pip install -r requirements/optional.txt'
        ) from e
    graph = onnx.load(onnx_file).graph
    region = graph.name.removeprefix('iptq_mm ')
    names = [node.name for node in graph.node]
    rows = {row['name']: row for row in site_rows(read_work_dir(work_dir))}
    named = {name: _site(name, region) for name in names}
    sites = {name: rows[site] for name, site in named.items() if site in rows}
    if not sites:
        raise ConfigError(
            f'{onnx_file} has no node of a site of {work_dir}: export the integer.py '
            'of that run'
        )
    written = []
    for figure in FIGURES:
        values = {name: _value(row, figure.key) for name, row in sites.items()}
        known = {name: value for name, value in values.items() if value is not None}
        if known:
            path = Path(onnx_file).with_suffix(f'.{figure.key}.json')
            atomic_write(path, json.dumps(node_data(graph.name, figure, known)) + '\n')
            written.append(path)
    return written


def node_data(graph: str, figure: Figure, values: Mapping[str, float]) -> dict:
    """Node data of one figure, as Model Explorer reads it.

    Args:
        graph: Identifier of the graph: the name of the ONNX graph.
        figure: What the values are.
        values: By node.
    """
    return {
        graph: {
            'name': figure.name,
            'results': {name: {'value': value} for name, value in values.items()},
            'gradient': _gradient(figure.colours),
        }
    }


def _gradient(colours: Sequence[str]) -> list[dict[str, Any]]:
    last = len(colours) - 1
    return [
        {'stop': i / last, 'bgColor': colour, 'textColor': '#000000'}
        for i, colour in enumerate(colours)
    ]


def _site(node: str, region: str) -> str:
    """The site that a node belongs to; nodes are named after it."""
    scope = node.rpartition('/')[0]
    return scope if '+' in region else f'{region}:{scope}'


def _value(row: Mapping[str, Any], key: str) -> float | None:
    if key == 'range':
        return max(abs(row['range']['low']), abs(row['range']['high']))
    if key == 'clipped':
        return 100 * row['clipped']
    value = row[key]
    return None if value is None else float(value)
