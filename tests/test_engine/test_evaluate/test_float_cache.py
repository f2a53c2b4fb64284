"""What the float model gave, kept: as good as running it, or not used."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.structures import BaseDataElement
from torch import nn

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.evaluate import float_cache
from iptq_mm.engine.evaluate.comparing_loop import ComparingLoop
from iptq_mm.engine.evaluate.float_cache import FloatCache, fingerprint
from iptq_mm.engine.run.pipeline import quantize_and_compare

pytestmark = pytest.mark.usefixtures('one_thread')


def files(tmp_path):
    return sorted((tmp_path / 'cache').glob('*'))


def test_gives_what_the_float_model_gives(vit_run, tmp_path, monkeypatch):
    """The whole result, to the bit, without running the float model."""

    def run(name, **options):
        results = quantize_and_compare(
            vit_run.config,
            work_dir=str(tmp_path / name),
            float_cache=str(tmp_path / 'cache'),
            cfg_options=options,
        )
        return {**results, 'seconds': {}}

    timed = ComparingLoop._timed
    ran = []

    def noted(self, name, *arguments):
        ran.append(name)
        return timed(self, name, *arguments)

    monkeypatch.setattr(ComparingLoop, '_timed', noted)
    expected = {**vit_run.results, 'seconds': {}}
    assert run('first') == expected and ran == ['float', 'integer'] * 2
    ran.clear()
    assert run('second') == expected and ran == ['integer'] * 2
    ran.clear()
    # Other bits, same float model and images.
    assert run('third', **{'quantization.weight.bits': 4}) != expected
    assert ran == ['integer'] * 2 and len(files(tmp_path)) == 1
    ran.clear()
    # The same images in other batches.
    assert run('fourth', **{'test_dataloader.batch_size': 3})['integer']
    assert ran == ['float', 'integer'] * 2 and len(files(tmp_path)) == 2


def test_detectors_leave_nothing(detector_run, tmp_path):
    results = quantize_and_compare(
        detector_run.config,
        work_dir=str(tmp_path / 'run'),
        float_cache=str(tmp_path / 'cache'),
    )
    assert not files(tmp_path)
    assert {**results, 'seconds': 0} == {**detector_run.results, 'seconds': 0}


def batch(pixel=0, label=1):
    image = torch.zeros(3, 2, 2, dtype=torch.uint8)
    image[0, 0, 0] = pixel
    sample = BaseDataElement()
    sample.gt_label = torch.tensor([label])
    return {'inputs': [image], 'data_samples': [sample]}


def scores(*values):
    return SimpleNamespace(pred_score=torch.tensor(values))


def expected_outputs():
    # The head is called twice a batch; its output is a view of something larger.
    head = torch.arange(40.0).reshape(2, 20)
    return {'backbone': [[torch.ones(2, 3)]], 'head': [[head[:, 0]], [head[:, 3]]]}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Linear(2, 2)


@pytest.fixture
def opened(model, tmp_path):
    def open_cache(settings='', model=model):
        return FloatCache(tmp_path / 'cache', model, settings)

    return open_cache


@pytest.fixture
def recorded(opened):
    """A cache of two batches, written."""
    cache = opened()
    for pixel in (1, 2):
        samples = [scores(0.1, 0.7, 0.2), scores(0.5, 0.1, 0.4)]
        cache.record(fingerprint(batch(pixel)), samples, expected_outputs())
    cache.finish({'accuracy/top1': 50.0}, 1.5)


def test_replays_what_was_recorded(recorded, opened, tmp_path):
    cache = opened()
    assert cache.kept['metrics'] == {'accuracy/top1': 50.0}
    assert cache.kept['seconds'] == 1.5
    expected = {'backbone': [], 'head': []}
    floats = cache.replay(1, batch(2), expected)
    assert [int(f.pred_score.argmax()) for f in floats] == [1, 0]
    for name, calls in expected_outputs().items():
        assert len(expected[name]) == len(calls)
        for found, call in zip(expected[name], calls, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(found, call, strict=True))
    # A small file: views do not bring what they look at.
    assert files(tmp_path)[0].stat().st_size < 20_000


def test_other_images_are_an_error(recorded, opened):
    cache = opened()
    for index, other in ((1, batch(1)), (0, batch(1, label=0)), (2, batch(1))):
        with pytest.raises(ConfigError, match=f'than those of batch {index}: they'):
            cache.replay(index, other, {'backbone': [], 'head': []})


def test_other_models_and_settings_are_not_found(recorded, opened, model):
    assert opened().kept
    assert opened('other settings').kept is None
    other = copy.deepcopy(model)
    other.bias.data[1] += 1e-3
    assert opened(model=other).kept is None
    torch.set_num_threads(2)
    assert opened().kept is None


def test_damaged_file_is_made_anew(recorded, opened, tmp_path):
    (path,) = files(tmp_path)
    path.write_bytes(b'damaged')
    cache = opened()
    assert cache.kept is None
    cache.record('', [scores(1.0)], {})
    cache.finish({}, 0.0)
    assert opened().kept


def test_unfinished_evaluation_leaves_nothing(opened, tmp_path):
    opened().record('', [scores(1.0)], expected_outputs())
    opened().finish({}, 0.0)
    assert not files(tmp_path)


def test_large_outputs_are_not_kept(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(float_cache, 'MOST_BYTES', 60)
    cache = opened()
    for _ in range(2):
        cache.record('', [scores(1.0)], expected_outputs())
    cache.finish({}, 0.0)
    assert not files(tmp_path)


def test_predictions_without_scores_are_not_kept(opened, tmp_path):
    cache = opened()
    cache.record('', [scores(1.0)], expected_outputs())
    cache.record('', [SimpleNamespace()], expected_outputs())
    cache.finish({}, 0.0)
    assert not files(tmp_path)


def test_fingerprint_sees_images_and_labels():
    assert fingerprint(batch()) == fingerprint(batch())
    assert len({fingerprint(b) for b in (batch(), batch(1), batch(label=2))}) == 3
    assert fingerprint([torch.zeros(2, 3)]) != fingerprint([torch.zeros(3, 2)])
    assert fingerprint([torch.zeros(2)]) != fingerprint([torch.zeros(2).int()])
