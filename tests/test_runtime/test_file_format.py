"""The file's layout is the same in Python and in C++, and has a version."""

import ctypes
import hashlib
import re
from pathlib import Path

from iptq_mm.native import library
from iptq_mm.program.backends.native.file import format as file_format

HEADER = Path(__file__).parents[2] / 'runtime/src/file/format.h'
#: By version. If a field of a command changed, raise VERSION in both files and write
#: the new digest here.
LAYOUTS = {
    1: '5622e08b36d51b96',
    2: 'c4148d94686d9207',
    3: '0daca2165d7e0250',
    4: 'b3d18f63ff77e933',
}


def constants():
    text = HEADER.read_text(encoding='utf-8')
    return dict(re.findall(r'constexpr \w+ k(\w+)(?:\[8\])? = ([^;]+);', text))


def test_constants():
    here = constants()
    assert int(here['Version']) == file_format.VERSION
    assert int(here['HeaderBytes']) == file_format.HEADER_BYTES
    assert int(here['ChecksumFrom']) == file_format.CHECKSUM_FROM
    assert int(here['Alignment']) == file_format.ALIGNMENT
    assert int(here['Tail']) == file_format.TAIL
    assert int(here['MostDimensions']) == file_format.DIMENSIONS
    assert int(here['SectionShift']) == file_format.SECTION_SHIFT


def test_a_change_of_the_commands_has_a_new_version():
    function = library.library().iptq_layout
    function.restype = ctypes.c_char_p
    digest = hashlib.sha256(function()).hexdigest()[:16]
    assert LAYOUTS[file_format.VERSION] == digest


def test_records_have_the_sizes_of_the_structs():
    port = file_format.PortRecord(0, 0, 0, 0, 0, 1, -1, 1, 1.0, (2, 3))
    assert len(port.packed()) == 23 * 8
    parts = file_format.Parts(64, [port], [port], [bytes(16)], b'name\0', bytearray(64))
    whole = file_format.assembled(parts)
    assert len(whole) % 64 == 0
    assert whole[: len(file_format.MAGIC)] == file_format.MAGIC
