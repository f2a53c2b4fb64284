"""A region that is fed images of many shapes, as the backbone of a detector is."""

import copy

import pytest
import torch
from detector_parts import Beside, fpn, levels
from program_cases import quantized_swin
from region_models import images, quantized, same

from iptq_mm.modes import bound_region
from iptq_mm.operations import OPERATIONS
from iptq_mm.program import Session, trace, use_backend
from iptq_mm.program.runtime.programs import storage_bytes
from iptq_mm.registry import FUNCTIONS

pytestmark = pytest.mark.usefixtures('no_grad')

#: Heights and widths: padded by the window and not, upright and lying.
SIZES = [
    *((16, 16), (16, 24), (24, 16), (20, 36), (32, 32), (36, 20)),
    *((40, 24), (44, 52), (48, 16), (52, 44), (64, 40), (28, 60)),
]


def session_of(net) -> Session:
    return bound_region(net.backbone).session


@pytest.fixture
def net():
    return copy.deepcopy(quantized_swin())


@pytest.mark.parametrize('backend', ['reference', 'native'])
def test_integers_of_every_shape(net, backend):
    batch = [images(1, 3, *size, seed=i) for i, size in enumerate(SIZES)]
    expected = [net(x) for x in batch]
    use_backend(net, backend)
    # The second time the programs are there; other shapes ran in between.
    for _ in range(2):
        for x, y in zip(batch, expected, strict=True):
            assert same(net(x), y)
    assert len(session_of(net).programs) == len(SIZES)


def test_pyramids_of_every_shape():
    """Sizes of levels that are the double of the next one, and others."""
    sizes = [(6, 8), (7, 8), (5, 9), (12, 7), (8, 8)]
    batch = [
        levels((h, w), ((h + 1) // 2, (w + 1) // 2), (3, 2), channels=[4, 8, 8], seed=i)
        for i, (h, w) in enumerate(sizes)
    ]
    net = quantized(Beside(fpn()).eval(), [(x,) for x in batch[:2]])
    expected = [net(x) for x in batch]
    use_backend(net, 'native')
    assert all(same(net(x), y) for x, y in zip(batch, expected, strict=True))


def test_tracing_computes_no_integers(net, monkeypatch):
    x = images(1, 3, 28, 36)
    net(x)  # makes the constants, for which integers of parameters are computed

    def never(*args, **kwargs):
        raise AssertionError('an integer was computed')

    for operation in OPERATIONS.values():
        monkeypatch.setattr(type(operation), 'integer', never)
    for function in FUNCTIONS.module_dict.values():
        monkeypatch.setattr(function, 'integer', never)
    assert trace(net.backbone, (x,)).program.nodes
    with pytest.raises(AssertionError, match='was computed'):
        net(x)


def test_shapes_share_what_does_not_depend_on_them(net):
    use_backend(net, 'native')
    running, alone = None, []
    for i, size in enumerate(SIZES):
        net(images(1, 3, *size, seed=i))
        running = session_of(net)
        alone.append(storage_bytes(running.programs[-1].executable.held()))
    weights = {
        name: t
        for name, t in running.programs[0].program.tensors.items()
        if name.endswith('.weight')
    }
    assert weights
    for made in running.programs:
        for name, tensor in weights.items():
            assert made.program.tensors[name] is tensor
    arenas = {id(made.executable._arenas) for made in running.programs}
    assert len(arenas) == 1
    (arena,) = running.programs[0].executable._arenas.tensors()
    assert len(arena) == max(made.executable.arena_bytes for made in running.programs)
    # All together need little more than the largest one alone.
    assert running.bytes < 3 * max(alone) < sum(alone) / 2


def test_memory_is_bounded(net):
    """Whatever is fed to it, a session keeps no more than it may."""
    use_backend(net, 'native')
    for i, size in enumerate(SIZES[:3]):
        net(images(1, 3, *size, seed=i))
    enough = session_of(net).bytes
    use_backend(net, 'native', memory_mb=1.2 * enough / 2**20)
    running, recent = session_of(net), []
    for i, size in enumerate([*SIZES[:8], *SIZES[:4], (96, 96), *SIZES[:3]]):
        net(images(1, 3, *size, seed=i))
        recent = [*(s for s in recent if s != size), size]
        left = [made.program.input_shapes[0][2:] for made in running.programs]
        assert running.bytes <= 1.2 * enough or left == [(96, 96)]
        # The latest are kept, as many as may be.
        assert left == recent[-len(left) :]
    # What the large one needed is free again.
    assert left == SIZES[:3] and running.bytes <= 1.1 * enough


def test_copies_keep_the_bound():
    running = Session('native', memory_mb=3)
    assert copy.deepcopy(running).memory_mb == 3


@pytest.mark.parametrize('wrong', [0, -1, float('nan')])
def test_no_memory_at_all(net, wrong):
    with pytest.raises(ValueError, match='give a positive number'):
        use_backend(net, 'reference', memory_mb=wrong)
    assert torch.is_tensor(net(images(1, 3, 16, 16))[0])
