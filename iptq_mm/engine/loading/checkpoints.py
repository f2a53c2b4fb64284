"""Clear errors for checkpoints that cannot be loaded, or fill too few tensors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint
from torch import Tensor, nn

from ...calibration import ConfigError
from ...modes.install import PLAN_KEY
from ..zoo import how_to_get
from ..zoo.file_problem import content_problem
from .foreign import foreign_errors

#: What mmengine says of tensors that either side lacks.
_MISMATCH = 'do not match exactly'
_CONVERT = 'tools/model_converters has converters of public checkpoints'


@contextmanager
def loading(checkpoint: str) -> Iterator[None]:
    """Say what is wrong with a checkpoint, when reading or loading it fails.

    Args:
        checkpoint: Its path, or where it is fetched from.

    Raises:
        ConfigError: In the place of whatever the reader of the file raises.
    """
    what = file_problem(checkpoint)
    if what:
        raise ConfigError(f'the checkpoint {checkpoint} {what}')
    advice = f'is it a checkpoint, whole, and of this model? {_CONVERT}'
    if '://' in checkpoint and (how := how_to_get(checkpoint)):
        advice = f'{how}, from a mirror with --mirror'
    with foreign_errors(f'the checkpoint {checkpoint} cannot be loaded', advice):
        try:
            yield
        except RuntimeError as error:
            if _MISMATCH not in str(error):
                raise
            differences = ' '.join(str(error).split())[:400]
            raise ConfigError(
                f'the checkpoint {checkpoint} does not fit the model: {differences}'
            ) from error


def file_problem(checkpoint: str) -> str:
    """Why a file is no checkpoint, by its first bytes; empty if it may be one."""
    path = Path(checkpoint).expanduser()
    if not path.is_file():  # fetched by mmengine, or missing, which it says
        return ''
    problem = content_problem(path)
    if not problem and path.suffix == '.safetensors':
        return f'is a safetensors file, which mm does not read: {_CONVERT}'
    return problem


def weights_in(checkpoint: Any) -> dict[str, Tensor]:
    """The weights where mm looks for them.

    Args:
        checkpoint: What the file held.

    Raises:
        ConfigError: If there are none.
    """
    weights = checkpoint
    if isinstance(checkpoint, dict):
        weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, dict):
        kind = type(weights).__name__
        raise ConfigError(
            f'the checkpoint holds no weights by name but a {kind}: save '
            'dict(state_dict=model.state_dict()) with torch.save'
        )
    found = {k: v for k, v in weights.items() if isinstance(v, Tensor)}
    if not found:
        nested = [k for k, v in weights.items() if isinstance(v, dict)]
        raise ConfigError(
            "the checkpoint has no weights under 'state_dict', where mm looks for "
            f'them, but entries {sorted(map(str, nested or weights))[:8]}: convert it '
            f'({_CONVERT}), or save them under that name'
        )
    return found


def refuse_integers(weights: dict[str, Tensor]) -> None:
    """Refuse the checkpoint of a quantized model where a float one is wanted.

    Args:
        weights: What the checkpoint holds.

    Raises:
        ConfigError: If it is one.
    """
    if any(str(key).endswith(f'.{PLAN_KEY}') for key in weights):
        raise ConfigError(
            'the checkpoint is quantized already: quantize the float one, or use '
            'this one with the config that was written beside it'
        )


def load_strictly(model: nn.Module, checkpoint: str) -> None:
    """Load a checkpoint that has all that the model takes, and nothing else.

    Args:
        model: The model.
        checkpoint: Its path, or where it is fetched from.

    Raises:
        RuntimeError: If it has other tensors than the model.
    """
    try:
        load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
    except RuntimeError as error:
        if _MISMATCH not in str(error):
            raise
        # Models may drop what they make themselves, as Swin V2 its tables of positions.
        weights = weights_in(CheckpointLoader.load_checkpoint(checkpoint, 'cpu'))
        named = {name.removeprefix('module.'): x for name, x in weights.items()}
        try:
            found = model.load_state_dict(named, strict=False)
        except RuntimeError:  # sizes differ, as mmengine says, too
            raise error from None
        if found.unexpected_keys or set(found.missing_keys) - _dropped(model):
            raise


class LoadCheck:
    """Finds out which tensors of a model a checkpoint gave no values to.

    mmengine only warns of them. Copying into a tensor changes its version, whatever
    names and shapes the model's own loading code puts up with.

    Args:
        model: Before the checkpoint is loaded.
        weights: What the checkpoint holds.
    """

    def __init__(self, model: nn.Module, weights: dict[str, Tensor]) -> None:
        self._model = model
        own = {id(t) for t in itertools.chain(model.parameters(), model.buffers())}
        # Models may leave some of theirs out of checkpoints, and put others in.
        self._before = {
            name: (value, value._version)
            for name, value in model.state_dict(keep_vars=True).items()
            if id(value) in own and value.is_floating_point()
        }
        self._shapes = {
            str(name).removeprefix('module.'): tuple(value.shape)
            for name, value in weights.items()
        }

    def finish(self, regions: Sequence[str]) -> None:
        """Refuse random weights where the checkpoint had none to give.

        Args:
            regions: Names of the parts that need all of theirs.

        Raises:
            ConfigError: If a tensor of a region got no values, or any other one whose
                shape in the checkpoint differs.
        """
        left = [n for n, (t, version) in self._before.items() if t._version == version]
        if left:  # What the model's own loading code drops, it makes itself.
            dropped = _dropped(self._model)
            left = [name for name in left if name not in dropped]
        for name in left:
            mine, given = tuple(self._before[name][0].shape), self._shapes.get(name)
            if given is not None and given != mine:
                raise ConfigError(
                    f"the checkpoint does not fit the model: '{name}' is {given} in "
                    f'the checkpoint and {mine} in the model: set num_classes, or '
                    'whatever else of model differs, to what it was trained with'
                )
        missing = [n for n in left if any(n.startswith(f'{r}.') for r in regions)]
        if missing:
            raise ConfigError(
                f'the checkpoint has no values for {len(missing)} tensors, for '
                f"instance '{missing[0]}': it belongs to another model, or has to be "
                f'converted ({_CONVERT})'
            )


def _dropped(model: nn.Module) -> set[str]:
    """Names of the tensors that a model does not take from its own checkpoint."""
    return set(model.load_state_dict(model.state_dict(), strict=False).missing_keys)
