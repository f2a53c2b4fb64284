import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms import LoadImageFromFile
from mmengine.registry import DATASETS, init_default_scope

import iptq_mm  # noqa: F401  (before mmpretrain and mmdet)
from iptq_mm.datasets.synthetic import KINDS, NoiseImages
from iptq_mm.datasets.synthetic_leaves import dead_leaves
from iptq_mm.datasets.synthetic_noise import mix_colors, spectral_noise

PATH = 'iptq_mm.datasets.synthetic.NoiseImages'


def made(**arguments):
    arguments = {'num_images': 4, 'size': (48, 64), **arguments}
    return NoiseImages(**arguments)


def slope(field):
    """Of the amplitude spectrum of (H, W), in log-log coordinates."""
    amplitude = np.abs(np.fft.rfft2(field))
    f = np.hypot(
        np.fft.fftfreq(field.shape[0])[:, None], np.fft.rfftfreq(field.shape[1])
    )
    inner = (f > 0.02) & (f < 0.4)
    return np.polyfit(np.log(f[inner]), np.log(amplitude[inner]), 1)[0]


@settings(deadline=None, max_examples=15)
@given(
    height=st.integers(8, 80),
    width=st.integers(8, 80),
    kind=st.sampled_from(sorted(KINDS)),
    seed=st.integers(0, 2**32),
    alpha=st.floats(0, 2),
)
@pytest.mark.slow
def test_any_size(height, width, kind, seed, alpha):
    data = made(size=(height, width), kind=kind, seed=seed, alpha=alpha)
    image = data.image(1)
    assert image.shape == (height, width, 3) and image.dtype == np.uint8
    assert np.array_equal(image, data.image(1))
    assert len(np.unique(image)) > 2


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.slow
def test_an_image_depends_on_seed_and_index_only(kind):
    few, many = made(kind=kind), made(kind=kind, num_images=9)
    assert np.array_equal(few[3]['img'], many[3]['img'])
    images = [many[i]['img'] for i in range(9)] + [made(kind=kind, seed=1)[0]['img']]
    assert len({image.tobytes() for image in images}) == 10


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.slow
def test_colors_are_those_of_the_preprocessor(kind):
    mean, std = np.array([150, 120, 90]), np.array([30, 20, 10])
    data = made(kind=kind, num_images=60, mean=mean, std=std)
    pixels = np.stack([data[i]['img'] for i in range(60)]).reshape(-1, 3)[:, ::-1]
    assert np.abs(pixels.mean(0) - mean).max() < 0.35 * std.max()
    assert (pixels.std(0) / std > 0.75).all() and (pixels.std(0) / std < 1.25).all()
    # Grey more than any colour.
    assert np.corrcoef(pixels.T).min() > 0.5


@pytest.mark.parametrize('alpha', [0.0, 0.7, 1.0, 1.5])
def test_spectrum(alpha):
    field = spectral_noise(np.random.default_rng(0), (96, 128), alpha, 2)
    assert field.shape == (96, 128, 2)
    assert np.allclose(field.mean((0, 1)), 0, atol=1e-4)
    assert np.allclose(field.std((0, 1)), 1, atol=1e-3)
    for channel in range(2):
        assert abs(slope(field[..., channel]) + alpha) < 0.1


def test_mixed_colors_keep_the_variance():
    field = np.random.default_rng(0).standard_normal((20000, 3))
    covariance = np.cov(mix_colors(field).T)
    assert abs(np.trace(covariance) - 3) < 0.1
    # Of red and green, of green and blue, of red and blue: distant ones least.
    assert covariance[0, 2] == covariance[~np.eye(3, dtype=bool)].min() > 0.5


def test_leaves_have_edges_and_flat_areas_that_noise_has_not():
    def kurtosis(image):
        steps = np.diff(image[..., 1], axis=1).ravel()
        return (steps**4).mean() / (steps**2).mean() ** 2

    rng = np.random.default_rng(0)
    leaves = [kurtosis(dead_leaves(rng, (96, 96), 1.0)) for _ in range(8)]
    noise = [
        kurtosis(mix_colors(spectral_noise(rng, (96, 96), 1.0, 3))) for _ in range(8)
    ]
    assert np.median(leaves) > 6 > 4 > np.median(noise)


def test_leaves_come_in_many_sizes():
    """Some images show a few surfaces, others hundreds."""
    rng = np.random.default_rng(0)
    rough = [
        np.abs(np.diff(dead_leaves(rng, (96, 96), 1.0), axis=1)).mean()
        for _ in range(20)
    ]
    assert max(rough) > 2 * min(rough)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet'])
def test_in_the_pipelines_of_both_packages(scope):
    init_default_scope(scope)
    pack = {'mmpretrain': 'PackInputs', 'mmdet': 'PackDetInputs'}[scope]
    cfg = dict(num_images=3, size=(32, 40), pipeline=[dict(type=pack)])
    for name in (PATH, 'iptq_mm.NoiseImages'):
        data = DATASETS.build(dict(type=name, **cfg))
        assert len(data) == 3
        item = data[1]
        assert item['inputs'].shape == (3, 32, 40)
        assert item['data_samples'].img_shape == (32, 40)
        pixels = item['inputs'].permute(1, 2, 0).numpy()
        assert np.array_equal(pixels, data.image(1))


@pytest.mark.parametrize(
    'load', ['LoadImageFromFile', 'mmcv.LoadImageFromFile', LoadImageFromFile]
)
def test_pipelines_for_files_do_as_well(load):
    init_default_scope('mmpretrain')
    resize = dict(type='Resize', scale=(20, 10))
    pipeline = [dict(type=load), resize, dict(type='PackInputs')]
    data = NoiseImages(2, (40, 40), pipeline=pipeline)
    assert data[0]['inputs'].shape == (3, 10, 20)
    data = NoiseImages(2, (40, 40), pipeline=[LoadImageFromFile()])
    assert np.array_equal(data[0]['img'], data.image(0))


def test_detection_pipeline_with_annotations():
    init_default_scope('mmdet')
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(64, 48), keep_ratio=True),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='PackDetInputs'),
    ]
    item = NoiseImages(1, (96, 128), pipeline=pipeline)[0]
    assert item['inputs'].shape == (3, 48, 64)
    assert len(item['data_samples'].gt_instances) == 0


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        (dict(kind='clouds'), "no kind 'clouds'; there are"),
        (dict(num_images=0), 'at least one image'),
        (dict(size=(4, 64)), 'at least 8x8'),
        (dict(size=(64,)), r'size=\(height, width\)'),
        (dict(mean=(1, 2)), 'red, green and blue'),
    ],
)
def test_wrong_arguments(wrong, said):
    with pytest.raises(ValueError, match=said):
        made(**wrong)
