"""The whole search on a tiny classifier."""

import csv

import pytest
import tiny_models
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.quantize.settings import read_settings
from iptq_mm.engine.search import measure
from iptq_mm.engine.search.measure import measure_costs
from iptq_mm.engine.search.run import search_bits

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def config(tmp_path_factory, tiny_data):
    folder = tmp_path_factory.mktemp('search')
    path, _ = tiny_models.write(
        tiny_models.vit(tiny_data / 'classification', 16), folder, 'vit'
    )
    return path


def test_the_front_in_one_command(config, tmp_path, monkeypatch):
    costs = tmp_path / 'costs.json'
    measure_costs(config).save(costs)
    given = dict(weights=[3, 4, 8], activations=[4, 8], work_dir=str(tmp_path / 'out'))
    path = search_bits(
        config, budgets=['bytes=W3A8..W8A8/3'], costs=str(costs), **given
    )
    assert path.name == 'front.md' and 'W4A8' in path.read_text()
    folder = path.parent
    assert (folder / 'front.png').stat().st_size > 1000
    rows = list(csv.DictReader((folder / 'front.csv').open()))
    points = [row for row in rows if row['name'].startswith('bits_')]
    assert len(points) == 3 and len(rows) == 3 + 6
    losses = [float(point['loss']) for point in points]
    assert losses == sorted(losses, reverse=True)
    for point in points:
        assert float(point['bytes']) <= float(point['budget_bytes']) * (1 + 1e-9)

    cfg = Config.fromfile(folder / 'bits_01.py')
    settings = read_settings(cfg)
    assert len(settings.overrides) > 10
    assert settings.overrides[0].where.startswith('backbone.patch_embed')
    assert cfg.quantization.regions == ['backbone', 'head']

    # Another budget measures nothing again.
    monkeypatch.setattr(measure, 'sensitivities', None)
    one = search_bits(config, budgets=['bytes=W4A8', 'loss=0.9'], **given)
    assert one.name == 'bits.py' and one.exists()
    with pytest.raises(ConfigError, match='--groups: weight.group=1: use 2 or more'):
        search_bits(config, budgets=['bytes=W4A8'], groups=[1], **given)
    with pytest.raises(ConfigError, match='16 alone'):
        search_bits(config, budgets=['bytes=W4A8'], **{**given, 'activations': (16,)})
    with pytest.raises(ConfigError, match='the least is'):
        search_bits(config, budgets=['bytes=10'], **given)


def test_groups_are_searched(config, tmp_path):
    path = search_bits(
        config,
        budgets=['bytes=W4A8'],
        weights=[4, 5],
        activations=[8],
        groups=[8],
        work_dir=str(tmp_path),
        cfg_options={'quantization.weight.bits': 4, 'quantization.weight.group': 4},
    )
    cfg = Config.fromfile(path)
    assert cfg.quantization.weight.group == 4
    said = [one.get('weight') for one in cfg.quantization.overrides]
    assert dict(bits=5, group=8) in said
    read_settings(cfg)
