"""The time of each step of a native program: all of the work, and nothing changed."""

import pytest
from program_cases import equal, integers, quantized_vit, swin_program, vit_program

from iptq_mm.native.library import available
from iptq_mm.program import use_backend
from iptq_mm.program.audit.census import census
from iptq_mm.program.backends.native.program import NativeProgram
from iptq_mm.program.runtime.step_times import native_programs, peak_macs, step_times

pytestmark = [
    pytest.mark.usefixtures('one_thread', 'no_grad'),
    pytest.mark.skipif(not available(), reason='no C++ compiler'),
]


@pytest.mark.parametrize('make', [vit_program, swin_program])
def test_every_site_and_all_products_are_timed(make):
    program = make()
    native, given = NativeProgram(program), integers(program)
    before = native.run(given)
    steps = step_times(native, rounds=2)
    assert {site for step in steps for site in step.sites} == {
        node.site for node in program.nodes if node.site
    }
    assert sum(step.macs for step in steps) == census(program).operations['mac']
    assert all(step.seconds > 0 for step in steps)
    assert equal(native.run(given), before)


def test_fused_sites_share_a_step():
    steps = step_times(NativeProgram(vit_program()), rounds=1)
    fused = [step for step in steps if step.kinds == ('linear', 'gelu')]
    assert len(fused) == vit_program().count()['gelu']
    assert all(s.command == 'Gemm' and s.macs > 0 for s in fused)
    assert all(s.sites[-1].endswith('gelu:0') and len(s.sites) > 1 for s in fused)


def test_a_large_product_is_faster_than_small_ones():
    steps = step_times(NativeProgram(vit_program()), rounds=3)
    fastest = max(step.macs / step.seconds for step in steps)
    assert 0 < fastest < 2 * peak_macs()


def test_programs_of_a_model_are_those_of_the_native_back_end():
    from region_models import images

    net = quantized_vit()
    assert native_programs(net) == {}
    use_backend(net, 'native')
    try:
        net.backbone(images(2, 3, 32, 32))
        assert isinstance(native_programs(net)['backbone'], NativeProgram)
        use_backend(net, 'reference')
        net.backbone(images(2, 3, 32, 32))
        assert native_programs(net) == {}
    finally:
        use_backend(net, None)
