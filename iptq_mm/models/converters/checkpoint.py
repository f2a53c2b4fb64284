"""Reading checkpoints of others and writing our own."""

import os
import pickle
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

State = dict[str, torch.Tensor]

#: Under which names repositories put the parameters into their files.
_WRAPPERS = ('state_dict', 'model')


class ConversionError(ValueError):
    """A file is not what a converter expects; the message says what to do."""


def convert_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    convert: Callable[[State], State],
    trusted: bool = False,
) -> State:
    """Read a checkpoint, convert it, and write it beside its final name first.

    Args:
        source (str | os.PathLike): The checkpoint to read.
        target (str | os.PathLike): The checkpoint to write.
        convert (Callable): One of the ``convert_*`` functions.
        trusted (bool): See :func:`load_state`.

    Returns:
        dict[str, torch.Tensor]: What was written.

    Raises:
        ConversionError: If the file is not what ``convert`` expects. Nothing is
            written then.
    """
    state = load_state(source, trusted=trusted)
    try:
        state = convert(state)
    except ConversionError as error:
        raise ConversionError(f'{source}: {error}') from error
    save_state(state, target, converted_from=Path(source).name)
    return state


def load_state(path: str | os.PathLike[str], trusted: bool = False) -> State:
    """Load the parameters of a checkpoint file.

    Args:
        path (str | os.PathLike): A file written by ``torch.save``, or one
            ending in ``.safetensors``.
        trusted (bool): Read the file even if it holds other things than
            tensors and plain types. Reading such a file runs code from it.

    Returns:
        dict[str, torch.Tensor]: The parameters, without the wrapping that
        training code puts around them.

    Raises:
        ConversionError: If the file cannot be read, or holds no parameters.
    """
    path = Path(path)
    if not path.is_file():
        raise ConversionError(f'{path} does not exist. Download the checkpoint first.')
    if path.suffix == '.safetensors':
        return _unwrap(_load_safetensors(path), path)
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        if not trusted:
            raise ConversionError(
                f'{path} is not a checkpoint of torch, or it holds more than tensors '
                'and plain types, and reading it would run code from it. If you '
                'trust where it comes from, say so (--trusted, or trusted=True).'
            ) from error
        content = _load_trusted(path)
    except (RuntimeError, EOFError, OSError) as error:
        raise ConversionError(
            f'{path} is no checkpoint of torch, or is incomplete ({error}). '
            'Download it again.'
        ) from error
    return _unwrap(content, path)


def _load_trusted(path: Path) -> Any:
    try:
        return torch.load(path, map_location='cpu', weights_only=False)
    except Exception as error:  # Whatever the code in the file raises.
        raise ConversionError(f'{path} cannot be read: {error!r}') from error


def _load_safetensors(path: Path) -> State:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ConversionError(
            f'{path} needs the package safetensors: pip install safetensors'
        ) from error
    return load_file(path)


def _unwrap(content: Any, path: Path) -> State:
    """Find the parameters in what a file holds."""
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
            break
    if not isinstance(content, dict) or not content:
        raise ConversionError(
            f'{path} holds no parameters but a {type(content).__name__}.'
        )
    for key, value in content.items():
        if not isinstance(value, torch.Tensor):
            raise ConversionError(
                f'{path} holds no parameters: its entry {key!r} is a '
                f'{type(value).__name__}, not a tensor.'
            )
    # DistributedDataParallel puts this before every name.
    if all(key.startswith('module.') for key in content):
        content = {key.removeprefix('module.'): v for key, v in content.items()}
    return dict(content)


def save_state(
    state: State, path: str | os.PathLike[str], **meta: str | int | float
) -> None:
    """Write a checkpoint that OpenMMLab loads, all of it or nothing.

    Args:
        state (dict[str, torch.Tensor]): The parameters.
        path (str | os.PathLike): Where to. An older file stays as it is until
            the new one is complete.
        **meta: Plain values to keep beside the parameters.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'wb') as file:
            torch.save({'state_dict': state, 'meta': dict(meta)}, file)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner may read.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def require(state: State, keys: Iterable[str], what: str) -> None:
    """Raise unless all keys are there."""
    missing = [key for key in keys if key not in state]
    if missing:
        raise ConversionError(
            f'This is not {what}: {_listed(missing)} missing. '
            f'It begins with {_listed(state)}.'
        )


def refuse(keys: Iterable[str], what: str) -> None:
    """Raise if there are keys that nobody knows what to do with."""
    unknown = list(keys)
    if unknown:
        raise ConversionError(
            f'This is not {what}: nothing corresponds to {_listed(unknown)}. '
            'Converting the rest would give another model.'
        )


def _listed(keys: Iterable[str], limit: int = 4) -> str:
    names = list(keys)
    text = ', '.join(names[:limit])
    return text + (f' and {len(names) - limit} more' if len(names) > limit else '')
