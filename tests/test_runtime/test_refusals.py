"""Files that are no models, or not whole, are refused with a message that helps."""

import ctypes
import struct
import subprocess
import zlib

import pytest
from attention_case import attention
from program_cases import function_program
from runtime_cases import written

from iptq_mm.native.commands import KINDS, Attention, Gemm, Softmax, SoftmaxRows
from iptq_mm.native.fields import ScoreAddition
from iptq_mm.program.backends.native.file import format as file_format

pytestmark = pytest.mark.slow
HEADER, VERSION = file_format.HEADER_BYTES, file_format.VERSION


def repaired(contents):
    """The same with the checksum and the size that it should have."""
    made = bytearray(contents)
    struct.pack_into('<Q', made, 16, len(made))
    struct.pack_into('<I', made, 24, zlib.crc32(bytes(made[32:])))
    return bytes(made)


def number(contents, at):
    return struct.unpack_from('<Q', contents, at)[0]


def with_number(contents, at, value):
    made = bytearray(contents)
    struct.pack_into('<Q', made, at, value % 2**64)
    return bytes(made)


def first(contents, command):
    """Where the first command of a kind stands."""
    at = number(contents, 56)
    while (kind := number(contents, at)) != command.kind_number:
        at += ctypes.sizeof(KINDS[kind])
    return at


def first_gemm(contents, field):
    """Where a field of the first matrix product stands."""
    return first(contents, Gemm) + getattr(Gemm, field).offset


def flipped(contents, at):
    made = bytearray(contents)
    made[at] ^= 1
    return bytes(made)


CASES = {
    'empty': (lambda c: b'', 'is empty: export the model again'),
    'short': (lambda c: c[:99], '99 bytes are no .iptq file'),
    'a picture': (lambda c: b'\x89PNG' + c[4:], 'no .iptq file: tools/export.py'),
    'text': (lambda c: c.replace(b'\r\n', b'\n', 1), 'changed on its way, as text'),
    'another version': (
        lambda c: c[:8] + bytes([VERSION + 1]) + c[9:],
        f'has format {VERSION + 1}, this library reads format {VERSION}',
    ),
    'truncated': (lambda c: c[:-1], 'and should have'),
    'longer': (lambda c: c + b'\0', 'and should have'),
    'a flipped bit': (lambda c: flipped(c, len(c) // 2), 'the checksum is wrong'),
    'no commands': (
        lambda c: repaired(with_number(c, 56, len(c) + 8)),
        'do not fit together',
    ),
    'a huge arena': (lambda c: repaired(with_number(c, 32, 2**60)), 'bytes of memory'),
    'no such command': (
        lambda c: repaired(with_number(c, number(c, 56), 99)),
        'command 0 is none',
    ),
    'too many columns': (
        lambda c: repaired(with_number(c, first_gemm(c, 'n'), 2**20)),
        '(Gemm): the weights is damaged',
    ),
    'an output among the constants': (
        lambda c: repaired(with_number(c, first_gemm(c, 'out'), 1 << 56)),
        '(Gemm): the result is damaged',
    ),
    'weights beyond the end': (
        lambda c: repaired(
            with_number(c, first_gemm(c, 'weights'), (1 << 56) + len(c))
        ),
        '(Gemm): the weights is damaged',
    ),
}

#: Softmaxes whose exponentials are computed, or are codes.
WITHOUT_TABLES = ['i_softmax', 'shiftmax', 'bit_softmax', 'log_int_softmax']


def refuse(host, path, message):
    """Make sure that a file is refused with a message that has this in it."""
    made = subprocess.run(
        [host / 'iptq-run', path, '--bench', '1'], capture_output=True, text=True
    )
    assert made.returncode == 1
    assert message in made.stderr and str(path) in made.stderr


@pytest.mark.parametrize('name', CASES)
def test_refused(host, vit_file, tmp_path, name):
    change, message = CASES[name]
    path = tmp_path / 'model.iptq'
    path.write_bytes(change(vit_file.read_bytes()))
    refuse(host, path, message)


@pytest.mark.parametrize(
    'mask, hides', [('closed mask', 400000), ('mask', 400001), ('mask', -1)]
)
def test_masks_that_are_not_what_they_say(host, tmp_path, mask, hides):
    """Of a row that is hidden as a whole, the sum of exponentials may be 0."""
    made = attention((2,), 5, 40, 8, stages=(mask,))
    path = written(made, tmp_path / 'model.iptq')
    contents = path.read_bytes()
    at = first(contents, Attention) + Attention.addition.offset
    at += ScoreAddition.hides.offset
    path.write_bytes(repaired(with_number(contents, at, hides)))
    refuse(host, path, '(Attention): a mask is damaged')


@pytest.mark.parametrize(
    'field, value', [('row', 39), ('row', 0), ('row', 2**40), ('most', -1)]
)
def test_tables_of_masks_that_overlap(host, tmp_path, field, value):
    """Each is looked at as a whole when the file is opened."""
    made = attention((2,), 5, 40, 8, stages=('mask',))
    path = written(made, tmp_path / 'model.iptq')
    contents = path.read_bytes()
    at = first(contents, Attention) + Attention.addition.offset
    at += getattr(ScoreAddition, field).offset
    path.write_bytes(repaired(with_number(contents, at, value)))
    refuse(host, path, '(Attention): ')


def test_exponentials_that_do_not_add_up(host, tmp_path):
    """Two of them have to fit 32 bits."""
    made = function_program('table_softmax', {}, 21)
    path = written(made, tmp_path / 'model.iptq')
    contents = path.read_bytes()
    at = first(contents, SoftmaxRows) + SoftmaxRows.softmax.offset
    constants = number(contents, 96)
    tables = {}
    for name in ('fine', 'medium', 'mantissa', 'exponent'):
        address = number(contents, at + getattr(Softmax, name).offset)
        assert address >> 56 == 1
        tables[name] = constants + address % 2**56
    made = bytearray(contents)
    for name in ('fine', 'medium', 'mantissa'):
        struct.pack_into('<32H', made, tables[name], *[65535] * 32)
    struct.pack_into('<32H', made, tables['exponent'], *[0] * 32)
    path.write_bytes(repaired(bytes(made)))
    refuse(host, path, '(SoftmaxRows): the exponentials is damaged')


@pytest.mark.parametrize('name', WITHOUT_TABLES)
def test_tables_of_a_form_without_tables(host, tmp_path, name):
    """Kernels would load them: ``fine`` is at the constants, the others are nowhere."""
    path = written(function_program(name, {}, 21), tmp_path / 'model.iptq')
    contents = path.read_bytes()
    fine = SoftmaxRows.softmax.offset + Softmax.fine.offset
    at = first(contents, SoftmaxRows) + fine
    assert number(contents, at) == 0
    path.write_bytes(repaired(with_number(contents, at, 1 << 56)))
    refuse(host, path, '(SoftmaxRows): the exponentials is damaged')


def test_repairing_alone_changes_nothing(host, vit_file, tmp_path):
    path = tmp_path / 'model.iptq'
    path.write_bytes(repaired(vit_file.read_bytes()))
    assert path.read_bytes() == vit_file.read_bytes()
    subprocess.run([host / 'iptq-run', path, '--bench', '1'], check=True)


def test_no_file(host, tmp_path):
    made = subprocess.run(
        [host / 'iptq-run', tmp_path / 'none.iptq'], capture_output=True, text=True
    )
    assert made.returncode == 1 and 'No such file' in made.stderr
