"""Options that tools share, and mistakes that end them."""

from argparse import ArgumentParser
from pathlib import Path

import pytest
import torch

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.loading.command_line import (
    MISTAKES,
    add_image_shape,
    add_integer_model,
    add_model,
    add_overrides,
    mistakes_end_it,
)


@pytest.fixture
def parser():
    parser = ArgumentParser()
    add_model(parser, 'a config', override='a.b=3')
    add_image_shape(parser)
    return parser


def test_only_the_config_is_needed(parser):
    args = parser.parse_args(['some.py'])
    assert vars(args) == dict(
        config='some.py', checkpoint=None, shape=None, cfg_options=None
    )
    with pytest.raises(SystemExit):
        parser.parse_args([])


def test_all_options(parser):
    line = 'some.py some.pth --shape 32 64 --cfg-options a.b=4 c=[1,2] d=text'
    args = parser.parse_args(line.split())
    assert (args.config, args.checkpoint) == ('some.py', 'some.pth')
    assert args.shape == [32, 64]
    assert args.cfg_options == {'a.b': 4, 'c': [1, 2], 'd': 'text'}


@pytest.mark.parametrize('line', ['a.py --shape 32', 'a.py --shape 32 wide'])
def test_a_shape_is_two_numbers(parser, line):
    with pytest.raises(SystemExit):
        parser.parse_args(line.split())


def test_overrides_alone():
    parser = ArgumentParser()
    add_overrides(parser)
    assert parser.parse_args([]).cfg_options is None
    assert parser.parse_args(['--cfg-options', 'a=b']).cfg_options == {'a': 'b'}
    assert 'e.g.' not in parser.format_help()


def test_help(parser):
    said = ' '.join(parser.format_help().split())
    assert 'a config' in said and 'e.g. a.b=3' in said
    assert 'float checkpoint; default: load_from of the config' in said
    integer = ArgumentParser()
    add_integer_model(integer)
    said = ' '.join(integer.format_help().split())
    assert 'integer.py that tools/quantize.py wrote' in said
    assert 'integer.pth; default: load_from of the config' in said


@pytest.mark.parametrize('error', MISTAKES)
def test_mistakes_are_messages(capsys, error):
    @mistakes_end_it(status=2)
    def main():
        raise error('no such thing')

    assert main() == 2
    assert capsys.readouterr() == ('', 'error: no such thing\n')


def test_subclasses_are_mistakes(capsys):
    @mistakes_end_it()
    def main():
        return len(Path('nowhere/nothing.py').read_text())

    assert main() == 1
    assert 'nowhere/nothing.py' in capsys.readouterr().err


@pytest.mark.parametrize('error', [RuntimeError, TypeError, SystemExit])
def test_other_errors_are_traces(error):
    @mistakes_end_it()
    def main():
        raise error('a bug')

    with pytest.raises(error, match='a bug'):
        main()


@pytest.mark.parametrize('error', [RuntimeError, ConfigError])
def test_mistakes_of_one_tool(capsys, error):
    @mistakes_end_it(RuntimeError)
    def main():
        raise error('cannot run here')

    assert main() == 1
    assert capsys.readouterr().err == 'error: cannot run here\n'


@pytest.mark.parametrize('interrupted', ['', 'go on with --resume'])
def test_ctrl_c(capsys, interrupted):
    @mistakes_end_it(status=2, interrupted=interrupted)
    def main():
        raise KeyboardInterrupt

    assert main() == 130
    said = f'interrupted: {interrupted}' if interrupted else 'interrupted'
    assert capsys.readouterr() == ('', f'{said}\n')


def test_out_of_memory(capsys):
    @mistakes_end_it()
    def main():
        torch.empty(1 << 60)

    assert main() == 1
    said = capsys.readouterr().err
    assert said.startswith('error: out of memory: use smaller batches')
    assert 'DefaultCPUAllocator' in said


def test_a_tool_that_works(capsys):
    @mistakes_end_it(status=2)
    def main():
        """Run it."""
        return 7

    assert main() == 7 and (main.__name__, main.__doc__) == ('main', 'Run it.')
    assert capsys.readouterr() == ('', '')
