"""Arenas: programs that take turns compute in the same memory."""

import gc
import threading

import pytest
from native_cases import equal
from program_cases import block_program, integers, swin_program, vit_program

from iptq_mm.program.backends.native.arenas import Arenas
from iptq_mm.program.backends.native.program import NativeProgram
from iptq_mm.program.backends.reference import run


class Owner:
    """Something that needs memory."""


@pytest.fixture
def arenas():
    return Arenas()


def sizes(arenas):
    return [len(t) for t in arenas.tensors()]


def test_one_for_all_that_take_turns(arenas):
    owners = [Owner() for _ in range(3)]
    for owner, size in zip(owners, (64, 256, 128), strict=True):
        arenas.join(owner, size)
        with arenas.lent():
            pass
    assert sizes(arenas) == [256]


def test_two_at_the_same_time(arenas):
    owner = Owner()
    arenas.join(owner, 64)
    with arenas.lent() as one, arenas.lent() as other:
        assert one is not other
    assert sizes(arenas) == [64, 64]
    for last in (one, other):
        with arenas.lent(last) as again:
            assert again is last


def test_it_shrinks_with_the_programs(arenas):
    large, small = Owner(), Owner()
    arenas.join(large, 4096)
    arenas.join(small, 64)
    with arenas.lent():
        pass
    assert sizes(arenas) == [4096]
    del large
    gc.collect()
    assert sizes(arenas) == [64]


def test_programs_follow_an_arena_that_moves(arenas):
    """Small, large, small again: commands get the new addresses."""
    programs = [block_program(), swin_program(), vit_program()]
    made = []
    for program in programs:
        made.append(NativeProgram(program, arenas))
        for native in made:
            inputs = integers(native.program)
            assert equal(native.run(inputs), run(native.program, inputs))
    assert sizes(arenas) == [max(native.arena_bytes for native in made)]
    while made:
        native = made.pop()
        inputs = integers(native.program, 1)
        assert equal(native.run(inputs), run(native.program, inputs))
        del native
        gc.collect()
        arenas.tensors()


def test_threads_with_different_programs(arenas):
    programs = [block_program(), vit_program()]
    made = [NativeProgram(program, arenas) for program in programs]
    wrong = []

    def work(number):
        native = made[number % 2]
        inputs = integers(native.program, number)
        expected = run(native.program, inputs)
        for _ in range(10):
            if not equal(native.run(inputs), expected):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and 1 <= len(sizes(arenas)) <= 3
