"""What rules choose, and how far from float the model is then.

The rules of Mixed Non-linear Quantization as in its Table 2, without training, and the
unified metric of IPTQ-ViT under other weights of its terms.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...calibration.config.methods import methods_of
from ...functions import function_name
from ...registry import CRITERIA
from ...utils.files import atomic_write
from ...utils.markdown import table
from ..loading.models import read_config
from ..quantize.kernel_times import measure_times
from .figures import KINDS
from .report import Assigned
from .setup import SIGNAL, Study, assignment_name, measure_assignments, set_up
from .site_candidates import SiteCandidate, assignment_of, by_site
from .variants import Rule

#: Weights of quality, perturbation and cost.
WEIGHTS = (
    (1, 1, 1),
    (8, 1, 1),
    (64, 1, 1),
    (1, 8, 1),
    (1, 64, 1),
    (1, 1, 8),
    (1, 1, 64),
)


def rule_configs() -> dict[str, dict[str, Any]]:
    """What ``quantization`` has to say for each rule, by its name in the table.

    A config with these options chooses by the rule, so that other columns (a training
    that follows, for instance) can be measured by other tools.
    """
    made = {
        'SQNR of the output': {'analysis': 'site', 'criterion': {'type': 'sqnr'}},
        '..., whole model': {'analysis': 'whole-model', 'criterion': {'type': 'sqnr'}},
    }
    for analysis in ('site', 'whole-model'):
        for reading in ('degradation', 'literal', 'absolute'):
            for measure in ('asqnr', 'sqnr'):
                name = f'SQNR difference, {reading}, {analysis}, {measure.upper()}'
                made[name] = {
                    'analysis': analysis,
                    'criterion': {
                        'type': 'sqnr_difference',
                        'reading': reading,
                        'measure': measure,
                    },
                }
    for criterion in ('unified_metric', 'output_error'):
        made[criterion] = {'analysis': 'site', 'criterion': {'type': criterion}}
    return made


def weight_configs() -> dict[str, dict[str, Any]]:
    """The same for the unified metric under other weights, and other costs."""
    return {
        f'q={q} p={p} c={c}, {cost}': {
            'analysis': 'site',
            'criterion': {
                'type': 'unified_metric',
                'weights': {'q': q, 'p': p, 'c': c},
                'cost': cost,
            },
        }
        for cost in ('operations', 'nanoseconds')
        for q, p, c in WEIGHTS
    }


def study_choices(
    config: str | os.PathLike,
    checkpoint: str | None = None,
    *,
    work_dir: str | None = None,
    candidates: str | None = None,
    images: int = 64,
    split: str = 'calibration',
    literal: bool = False,
    cfg_options: dict[str, Any] | None = None,
) -> Path:
    """Choose the functions of a classifier by each rule; measure the integer models.

    The model is quantized once; equalization is left out. Each rule chooses from the
    same records, and its model runs with the same weights.

    Args:
        config: Config of a classifier with a quantization dict.
        checkpoint: Float checkpoint; None: ``load_from`` of the config.
        work_dir: Where to write ``choices.md``, ``choices.json``, measurements and
            calibration. A study that is resumed measures nothing again but times.
        candidates: File with a ``candidates`` dict in place of the config's.
        images: How many images to measure on.
        split: ``calibration``: those of the calibration dataset that were not
            calibrated with; ``val``: those of the evaluation.
        literal: Whether the literal forms of the candidates join them.
        cfg_options: Overrides, by dotted key.

    Returns:
        The path of ``choices.md``.

    Raises:
        ConfigError: See :func:`~.run.study_criteria`; also without native library.
        FileNotFoundError: If there is no such config, checkpoint or file.
    """
    cfg = read_config(config, checkpoint, cfg_options)
    if candidates is not None:
        cfg.candidates = read_config(candidates).candidates
    folder = Path(work_dir or f'work_dirs/{Path(config).stem}_choices')
    study = set_up(cfg, folder, images, split, literal)
    measure_times(study.model, study.settings, study.what_if.records)
    sections = {
        'Rules': {**_rules(study, rule_configs()), **_uniform(study)},
        "Weights of the unified metric's terms": _rules(study, weight_configs()),
    }
    every = [chosen for rules in sections.values() for chosen in rules.values()]
    measure_assignments(study.what_if, every, study.batches, study.measured)
    text = [
        f'## {title}\n\n{_table(study, rules)}\n' for title, rules in sections.items()
    ]
    atomic_write(folder / 'choices.md', '\n'.join(text))
    configs = {**rule_configs(), **weight_configs()}
    chosen = {
        name: {'quantization': configs.get(name), 'assignment': assignment_of(sites)}
        for rules in sections.values()
        for name, sites in rules.items()
    }
    atomic_write(folder / 'choices.json', json.dumps(chosen, indent=1) + '\n')
    return folder / 'choices.md'


def _rules(
    study: Study, configs: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[SiteCandidate]]:
    """The candidate that each rule picks at every site."""
    sites, made = by_site(study.candidates), {}
    for name, config in configs.items():
        criterion = CRITERIA.build(dict(config['criterion']))
        rule = Rule(criterion, config['analysis'] == 'whole-model')
        made[name] = [rule.pick(site) for site in sites]
    return made


def _uniform(study: Study) -> dict[str, list[SiteCandidate]]:
    """The methods all of whose functions are candidates, at all sites."""
    made = {}
    for method in methods_of(study.settings.candidates):
        if len(method.measured) == len(method.functions):
            names = {k: function_name(f) for k, f in method.functions.items()}
            chosen = [
                next((c for c in site if c.function == names[c.kind]), None)
                for site in by_site(study.candidates)
            ]
            if None not in chosen:
                made[f'all sites: {method}'] = chosen
    return made  # type: ignore[return-value]


def _table(study: Study, rules: Mapping[str, list[SiteCandidate]]) -> str:
    found = {c.kind for chosen in rules.values() for c in chosen}
    kinds = [kind for kind in KINDS if kind in found]
    head = [
        'rule',
        'logit SQNR, dB',
        'same class',
        'operations, 10^6',
        'kernels, ms',
        *(f'sites by {kind}' for kind in kinds),
    ]
    numbers, signal = study.batches.numbers, SIGNAL
    rows = []
    for name, chosen in rules.items():
        measured = Assigned(
            name,
            sum(c.errors.total_cost for c in chosen),
            study.measured.over(assignment_name(chosen), numbers),
            study.measured.over(signal, numbers),
        )
        spent = sum(c.errors.total_cost_in('nanoseconds') for c in chosen)
        rows.append(
            [
                name,
                f'{measured.sqnr_db:.2f}',
                f'{measured.agreement:.1%}',
                f'{measured.operations / 1e6:.2f}',
                f'{spent / 1e6:.2f}',
                *(_counted(c for c in chosen if c.kind == kind) for kind in kinds),
            ]
        )
    return table(head, rows)


def _counted(chosen: Iterable[SiteCandidate]) -> str:
    """How many sites have which function: ``7 shiftmax, 5 i_softmax``."""
    counts = Counter(candidate.function for candidate in chosen)
    return ', '.join(f'{n} {function}' for function, n in counts.most_common())
