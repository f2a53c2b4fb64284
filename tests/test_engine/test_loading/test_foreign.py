"""Errors of others become messages, ours stay what they are."""

import json

import pytest
import torch

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.loading.foreign import described, foreign_errors, is_out_of_memory
from iptq_mm.intmath import QParams


def test_a_foreign_error_is_a_message():
    with pytest.raises(ConfigError) as caught, foreign_errors('no list', 'write one'):
        json.loads('{')
    message = str(caught.value)
    assert message.startswith('no list: JSONDecodeError: Expecting property name')
    assert 'json/decoder.py:' in message and message.endswith('; write one')
    assert isinstance(caught.value.__cause__, json.JSONDecodeError)


def test_bugs_of_ours_show_their_traces():
    with pytest.raises(TypeError), foreign_errors('nothing', 'nothing'):
        QParams.symmetric(None, 8)


def test_messages_and_interrupts_pass():
    for error in (ConfigError('ours'), KeyboardInterrupt(), MemoryError()):
        with pytest.raises(type(error)), foreign_errors('no', 'no'):
            raise error


def test_described():
    assert described(KeyError("no 'x' here")) == "KeyError: no 'x' here"
    assert described(AssertionError()) == 'AssertionError'
    long = described(RuntimeError('two\n  lines ' + 'x' * 1000))
    assert long.startswith('RuntimeError: two lines xxx') and len(long) < 330


def test_out_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_out_of_memory(caught.value) and is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError('memory'))
