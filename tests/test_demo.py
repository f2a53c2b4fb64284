"""The shipped demo models, quantized end to end on a few images of their kind."""

import pytest

pytestmark = pytest.mark.slow


def test_detector(demo_folder, demo_run):
    """A trained detector finds the objects, and its integer self finds the same."""
    results = demo_run('swin_cascade_demo_w8a8')
    assert results['float']['coco/bbox_mAP'] > 0.5
    for metric in ('coco/bbox_mAP', 'coco/segm_mAP'):
        # 8 images: one changed score moves the AP by a point or two.
        assert abs(results['integer'][metric] - results['float'][metric]) < 0.04
    # 31 to 47 dB on the 200 validation images with 128 calibration images.
    assert min(results['output_sqnr_db'].values()) > 24
    assert len(results['output_sqnr_db']) == 4
    assert (demo_folder / 'work/swin_cascade_demo_w8a8/functions.png').exists()


def test_literal_constants_are_worse(demo_run):
    """What the method is for: I-BERT's published constants on 8-bit inputs."""
    results = demo_run('swin_cascade_demo_literal-ibert-w8a8')
    assert min(results['output_sqnr_db'].values()) < 10
    assert set(results['assignment'].values()) == {
        'i_gelu(literal=True)',
        'i_softmax(literal=True)',
        'ibert_layernorm(literal=True)',
    }


@pytest.mark.parametrize('name', ['swin_demo_w8a8', 'vit_demo_w8a8'])
def test_classifier(demo_run, name):
    """Backbone to logits in integers: 35 dB and 99 % with full calibration."""
    results = demo_run(name)
    assert results['output_sqnr_db']['head:0'] > 24
    assert results['agreement'] > 0.9
