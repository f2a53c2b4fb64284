"""Programs of a detector's parts: the eager integers, whatever runs them."""

import logging
import shutil

import pytest
from detector_parts import (
    Beside,
    bbox_head,
    boxes,
    fpn,
    levels,
    mask_head,
    normed,
    pyramid,
    rpn,
)
from region_models import quantized, same, sqnr

from iptq_mm.program import trace, use_backend
from iptq_mm.program.lowering.lower import float_types, lower

pytestmark = pytest.mark.usefixtures('no_grad')

logging.getLogger('torch.__trace').propagate = False
MAPS = (8, 8), (4, 5), (2, 2)

PARTS = {
    'fpn': (lambda: fpn(), lambda s: pyramid(seed=s)),
    'fpn by factors': (
        lambda: fpn(upsample_cfg=dict(mode='nearest', scale_factor=2)),
        lambda s: levels((8, 12), (4, 6), (2, 3), channels=[4, 8, 8], seed=s),
    ),
    'fpn with more levels': (
        lambda: fpn(
            add_extra_convs='on_output', relu_before_extra_convs=True, num_outs=5
        ),
        lambda s: pyramid(seed=s),
    ),
    'fpn with norms': (
        lambda: normed(fpn(norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'))),
        lambda s: pyramid(seed=s, batch=2),
    ),
    'rpn': (lambda: rpn(), lambda s: levels(*MAPS, seed=s)),
    'shared 2 fc': (lambda: bbox_head('Shared2FCBBoxHead'), lambda s: boxes(6, seed=s)),
    '4 conv 1 fc': (lambda: bbox_head(), lambda s: boxes(6, seed=s)),
    'own convs': (
        lambda: bbox_head(
            'ConvFCBBoxHead', num_cls_convs=1, num_reg_convs=1, num_reg_fcs=1
        ),
        lambda s: boxes(6, seed=s),
    ),
    'masks': (lambda: mask_head(), lambda s: boxes(4, seed=s)),
    'masks of one layer': (
        lambda: mask_head(num_convs=0, conv_out_channels=6),
        lambda s: boxes(4, seed=s),
    ),
    'masks, nearest': (
        lambda: mask_head(upsample_cfg=dict(type='nearest', scale_factor=2)),
        lambda s: boxes(4, seed=s),
    ),
    'masks, not larger': (
        lambda: mask_head(upsample_cfg=dict(type=None)),
        lambda s: boxes(4, seed=s),
    ),
}


def integer(name):
    """A part in floats and in integers, and batches."""
    make, batch = PARTS[name]
    module, batches = Beside(make()).eval(), [(batch(seed),) for seed in range(3)]
    return module, quantized(module, batches), batches


@pytest.mark.parametrize('name', PARTS)
def test_reference(name):
    module, net, batches = integer(name)
    expected = [net(*batch) for batch in batches]
    for batch, y in zip(batches, expected, strict=True):
        assert sqnr(module(*batch), y) > 22
    use_backend(net, 'reference')
    assert all(same(net(*b), y) for b, y in zip(batches, expected, strict=True))
    program = trace(net.backbone, batches[0]).program
    for node in program.nodes:
        assert not float_types(lower(program, node).graph)


@pytest.mark.skipif(not shutil.which('g++'), reason='torch.compile needs a compiler')
def test_compiled():
    _, net, batches = integer('masks of one layer')
    expected = net(*batches[0])
    use_backend(net, 'compiled')
    assert same(net(*batches[0]), expected)


@pytest.mark.parametrize('name', ['fpn', 'rpn', '4 conv 1 fc', 'masks'])
def test_onnx(name):
    pytest.importorskip('onnxruntime')
    _, net, batches = integer(name)
    expected = net(*batches[0])
    use_backend(net, 'onnx')
    assert same(net(*batches[0]), expected)


def test_relu_is_a_node_at_one_scale():
    _, net, batches = integer('masks')
    program = trace(net.backbone, batches[0]).program
    relus = [node for node in program.nodes if node.kind == 'relu']
    assert len(relus) == 3
    for node in relus:
        x, y = program.values[node.values[0]], program.values[node.output]
        assert not node.constants and not node.attributes
        assert x.low < 0 and (y.low, y.high) == (0, 255)


def test_bilinear_masks():
    module = Beside(mask_head(upsample_cfg=dict(type='bilinear', scale_factor=2)))
    net, batch = quantized(module.eval(), [(boxes(3),)]), boxes(3)
    assert sqnr(module(batch), net(batch)) > 20
