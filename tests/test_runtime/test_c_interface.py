"""The C interface: what it describes, what it refuses, threads."""

import ctypes
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from iptq_runtime import Error, Library, Model
from iptq_runtime.library import TYPES, ArrayStruct
from native_cases import linear, program, weights
from program_cases import integers, swin_program, vit_program
from runtime_cases import written

from iptq_mm.pixels import Pixels
from iptq_mm.program import Deployed, run
from iptq_mm.program.backends.native.file.writer import compiled_bytes
from iptq_mm.program.ir.image_format import ImageFormat
from iptq_mm.version import __version__

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def library(host):
    return Library(host / 'libiptq.so')


@pytest.fixture
def vit(library, vit_file):
    model = Model(vit_file, library=library)
    yield model
    model.close()


def arrays(made, seed=0):
    return [x.numpy() for x in integers(made, seed)]


def expected(made, seed=0):
    return [x.numpy() for x in run(made, integers(made, seed))]


def same(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def test_version(library):
    assert library.c.iptq_version().decode() == __version__
    assert library.c.iptq_abi() == 1


def test_ports_are_those_of_the_program(vit):
    made = vit_program()
    for ports, known in ((made.inputs, vit.inputs), (made.outputs, vit.outputs)):
        for port, found in zip(ports, known, strict=True):
            value = made.values[port.value]
            assert found.shape == value.shape
            assert (found.low, found.high) == (value.low, value.high)
            assert found.scale == port.scale


def test_floats_are_those_of_python(vit):
    made = vit_program()
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(made.input_shapes[0], generator=generator)
    wanted = [y.numpy() for y in Deployed(made)(x)]
    assert same(vit(x.numpy()), wanted)


def image_program(pixels):
    """A linear layer on the channels of an image."""

    def build(recorder):
        channels = 3 + pixels.marked
        x = recorder.input((2, channels, 5, 4), -128, 127, 1.0)
        moved = recorder.node(
            'permute', [x], (2, 5, 4, channels), (-128, 127), {}, {'dims': [0, 2, 3, 1]}
        )
        return linear(recorder, moved, weights(7, channels), (-127, 127), 0.01)

    made = program(build)
    image = ImageFormat('BGR', pixels.mean, pixels.std)
    port = made.inputs[0]
    made.inputs[0] = type(port)(port.value, 1.0, pixels, image)
    return made


@pytest.mark.parametrize('marked', [False, True])
def test_images(library, marked):
    pixels = Pixels((100.5, 99.0, 120.25), (50.0, 60.5, 70.0), marked)
    made = image_program(pixels)
    model = Model(compiled_bytes(made), library=library)
    port = model.inputs[0]
    assert port.order == 'BGR' and port.kind == 'pixels'
    assert port.mean == pixels.mean and port.std == pixels.std
    generator = torch.Generator().manual_seed(1)
    image = torch.randint(0, 256, (2, 3, 5, 4), generator=generator, dtype=torch.uint8)
    wanted = [x.numpy() for x in Deployed(made)(image)]
    assert same(model(image.numpy()), wanted)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (pixels.mean, pixels.std))
    normalized = (image.float() - mean) / std
    normalized[:, :, 3:] = 0.0  # padded
    wanted = [x.numpy() for x in Deployed(made)(normalized)]
    assert same(model(normalized.numpy()), wanted)
    model.close()


def test_wrong_arrays(vit):
    x = arrays(vit_program())[0]
    floats = x.astype(np.float32)
    with pytest.raises(Error, match='the model has 1 inputs and 1 outputs, not 2 and'):
        vit(x, x)
    with pytest.raises(
        Error, match=r'has shape \(2, 3, 32, 32\), not \(1, 3, 32, 32\)'
    ):
        vit(floats[:1])
    turned = floats.transpose(0, 2, 3, 1)  # of as many bytes
    with pytest.raises(Error, match=r'not \(2, 32, 32, 3\)'):
        vit(turned)
    with pytest.raises(Error, match='takes float32 or int16, not int32'):
        vit(x.astype(np.int32))
    floats.flat[5] = np.nan
    with pytest.raises(Error, match='input_0 has a number that is not finite'):
        vit(floats)
    # Nothing of it stays.
    assert same(vit(x, integers=True), expected(vit_program()))


def test_bytes_that_do_not_fit(library, vit):
    """What C programs are told; the Python package looks at shapes before."""
    x, y = (np.zeros(p.shape, np.float32) for p in (*vit.inputs, *vit.outputs))
    given, made = (
        ArrayStruct(TYPES['float32'], a.ctypes.data, a.nbytes - less)
        for a, less in ((x, 4), (y, 0))
    )
    one = ctypes.c_size_t(1)
    arrays_of = ctypes.byref(given), one, ctypes.byref(made), one
    assert library.c.iptq_predict(vit.handle, *arrays_of)
    wanted = (
        f'{x.nbytes - 4} bytes were given; 6144 elements of float32 have {x.nbytes}'
    )
    assert wanted in str(library.error())


def test_integers_out_of_range(library):
    made = program(
        lambda r: linear(
            r, r.input((3, 8), -100, 90, 1.0), weights(4, 8), (-9, 9), 0.01
        )
    )
    model = Model(compiled_bytes(made), library=library)
    x = np.full((3, 8), 91, np.int8)
    with pytest.raises(Error, match='input_0: 91 is not in -100..90'):
        model(x)
    model.close()


@pytest.mark.parametrize('threads', [1, 2, 3])
def test_threads_of_a_call(library, tmp_path, threads):
    made = swin_program()
    model = Model(written(made, tmp_path / 'swin.iptq'), library=library)
    model.threads = threads
    for seed in range(4):
        assert same(model(*arrays(made, seed), integers=True), expected(made, seed))
    with pytest.raises(Error, match='0 threads: 1 to 64 are possible'):
        model.threads = 0
    assert model.threads == threads
    model.close()


def test_several_models_and_calls_at_a_time(library, vit, tmp_path):
    """Each call has memory of its own."""
    swin = Model(written(swin_program(), tmp_path / 'swin.iptq'), library=library)
    wanted = {
        id(model): [expected(made, seed) for seed in range(3)]
        for model, made in ((vit, vit_program()), (swin, swin_program()))
    }

    def call(number):
        model, made = ((vit, vit_program()), (swin, swin_program()))[number % 2]
        seed = number // 2 % 3
        return same(model(*arrays(made, seed), integers=True), wanted[id(model)][seed])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(call, range(24)))
    swin.close()


def test_memory_that_is_not_aligned(library, vit_file):
    contents = vit_file.read_bytes()
    room = ctypes.create_string_buffer(len(contents) + 1)
    ctypes.memmove(ctypes.addressof(room) + 1, contents, len(contents))
    begin = ctypes.c_void_p(ctypes.addressof(room) + 1)
    handle = library.c.iptq_open_memory(begin, ctypes.c_size_t(len(contents)))
    assert handle
    library.c.iptq_close(ctypes.c_void_p(handle))


def test_an_instruction_set_that_is_not_there(library):
    used = library.c.iptq_instruction_set_in_use()
    assert library.c.iptq_use_instruction_set(b'mmx') == -1
    assert "no instruction set 'mmx'" in str(library.error())
    assert library.c.iptq_instruction_set_in_use() == used


def test_the_library_needs_the_c_library_only(host):
    needed = subprocess.check_output(
        ['objdump', '-p', host / 'libiptq.so'], text=True
    ).splitlines()
    names = [line.split()[1] for line in needed if 'NEEDED' in line]
    assert all(name.startswith(('libc.', 'ld-linux', 'libm.')) for name in names), names
    assert (host / 'libiptq.so').stat().st_size < 600_000
