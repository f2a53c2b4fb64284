"""The diagnosis of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...calibration import ConfigError
from ..layers.models import images
from ..loading.models import read_config
from ..quantize.progress import progress_of
from ..report.sensitivity import PARTS, shares
from ..report.verdict import headline
from ..report.work_dir import WorkDir, read_work_dir
from .causes import Finding, explained
from .effects import Effect, Effects
from .images import Evidence, few_images, unlike_images
from .twin import twins_of

#: Sites whose cause is looked for.
_EXPLAINED = 5
#: Sites that leave more than this at the outputs lose nothing.
_SOUND_DB = 40.0


@dataclass
class Diagnosis:
    """What was found.

    Attributes:
        headline: What was lost, in a sentence.
        findings: Reasons, the most important first.
        effects: Of every site, the largest first.
        images: How many images were looked at.
        digest: SHA-256 of the integer model that was looked at; None: not known.
    """

    headline: str
    findings: list[Finding]
    effects: list[Effect]
    images: int
    digest: str | None = None

    def text(self, most: int = 10) -> str:
        """The diagnosis for people.

        Args:
            most: Sites that are listed.
        """
        lines = [self.headline, '']
        if not self.findings:
            lines += [
                f'No site by itself costs much: each leaves {_SOUND_DB:g} dB or more '
                'at the outputs.',
                '',
            ]
        for i, finding in enumerate(self.findings, 1):
            lines += [
                f'{i}. {finding.where}: {finding.cause}',
                f'   measured: {finding.text}',
                f'   try: {finding.advice}',
                '',
            ]
        lines.append(
            f'Sites by what they do to the outputs, each alone in integers and all '
            f'others in floats ({self.images} images; SQNR in dB):'
        )
        heads = ('all of it', *PARTS) if any(e.parts for e in self.effects) else ()
        if heads:
            lines.append(' ' * 66 + ''.join(f'{head:>9}' for head in heads))
        lines += [effect.line() for effect in self.effects[:most]]
        found = shares([effect.parts for effect in self.effects])
        if found:
            told = ', '.join(f'{part} {share:.0%}' for part, share in found.items())
            lines += ['', f'Of the errors that all parts make by themselves: {told}.']
        return '\n'.join(lines)


def diagnose(
    work_dir: str | os.PathLike,
    config: str | os.PathLike | None = None,
    checkpoint: str | None = None,
    *,
    count: int = 4,
    cfg_options: dict[str, Any] | None = None,
    parts: bool = False,
) -> Diagnosis:
    """Find out why the integer model of a run lost accuracy.

    Every site by itself is made as in the integer model while all the rest is float;
    what that does to the outputs on images of the evaluation ranks the sites. Ranges,
    channels, functions and calibration images then tell why.

    Args:
        work_dir: Folder that ``tools/quantize.py`` wrote. Nothing is written to it.
        config: Config that was quantized; None: the one that the run left there.
        checkpoint: Float checkpoint; None: that of the run.
        count: How many images to look at.
        cfg_options: Overrides of the config, by dotted key.
        parts: Whether to measure weights, inputs, function and result of every site
            each by themselves, and not of the worst ones alone.

    Raises:
        ConfigError: If the files do not belong together.
        FileNotFoundError: If a file is missing.
    """
    found = read_work_dir(work_dir)
    cfg = config_of(found, config, checkpoint, cfg_options)
    twins = twins_of(cfg, found.path)
    batches = images(cfg, 'test', count)
    measured = Effects(twins, batches)
    with measured.measuring():
        effects = _effects(measured, twins.plans)
        if parts:
            for effect in progress_of(effects, 'parts', len(effects), 'site'):
                _measure_parts(measured, effect)
        findings = _site_findings(found, measured, effects[:_EXPLAINED])
    whole = _whole_error(found.results, effects)
    calibrated = (found.results.get('calibration') or {}).get('images')
    evidence = Evidence(found.records, measured.seen, whole, calibrated, len(batches))
    first = unlike_images(evidence) or few_images(evidence)
    findings.sort(key=lambda f: -f.error)
    digest = (found.results.get('digest') or {}).get('integer.pth')
    return Diagnosis(
        headline(found.results), [*first, *findings], effects, len(batches), digest
    )


def config_of(
    found: WorkDir,
    config: str | os.PathLike | None,
    checkpoint: str | None,
    cfg_options: dict[str, Any] | None,
) -> Config:
    """The config of the run, with the overrides that it had."""
    given = config or found.results.get('config')
    if not given:
        raise ConfigError(
            f'{found.path}/results.json does not say which config it is of: name it '
            '(--config)'
        )
    kept = found.path / Path(given).name
    path = kept if config is None and kept.is_file() else given
    return read_config(path, checkpoint or found.results.get('checkpoint'), cfg_options)


def _effects(measured: Effects, plans: dict[str, Any]) -> list[Effect]:
    sites = [
        (r, s, p.operation) for r, plan in plans.items() for s, p in plan.sites.items()
    ]
    effects = [
        Effect(f'{region}:{site}', kind, measured.of(region, site))
        for region, site, kind in progress_of(sites, 'diagnose', len(sites), 'site')
    ]
    return sorted(effects, key=lambda e: -e.error)


def _site_findings(
    found: WorkDir, measured: Effects, effects: list[Effect]
) -> list[Finding]:
    findings = []
    for effect in effects:
        if effect.output_db > _SOUND_DB:
            continue
        region, _, site = effect.site.partition(':')
        _measure_parts(measured, effect)
        cause, text, advice = explained(
            region,
            site,
            found.plans[region].sites[site],
            effect.parts,
            measured.seen[region],
            found.records.get(region),
        )
        said = f'alone it leaves {effect.output_db:.1f} dB at the outputs; {text}'
        findings.append(Finding(effect.site, cause, effect.error, said, advice))
    return findings


def _measure_parts(measured: Effects, effect: Effect) -> None:
    """Measure each part of a site by itself, unless that was done."""
    region, _, site = effect.site.partition(':')
    if not effect.parts:
        effect.parts = {part: measured.of(region, site, [part]) for part in PARTS}


def _whole_error(results: dict[str, Any], effects: list[Effect]) -> float:
    """Error of the whole integer model, as measured by the run, or put together."""
    levels = [
        v for v in (results.get('output_sqnr_db') or {}).values() if v is not None
    ]
    if levels:
        return 10 ** (-min(levels) / 10)
    return sum(e.error for e in effects)
