"""Whether a back end can run where the model is, found out before hours are spent."""

from __future__ import annotations

import torch
from mmengine.logging import print_log

from ...calibration import ConfigError
from ...program import Native, Session

#: Back ends that run where the model is.
_ON_ANY_DEVICE = ('compiled', 'reference')
#: Names that tools take beside those of back ends: the fastest that can run here, and
#: none, which is operation by operation.
AUTO, EAGER = 'auto', 'eager'


def chosen_backend(
    given: str | None, configured: str | None, device: torch.device
) -> str | None:
    """The back end that evaluates a model; None: operation by operation.

    Args:
        given: By a command: a name in ``BACKENDS``, :data:`AUTO`, :data:`EAGER`; or
            None.
        configured: By the config, a name in ``BACKENDS`` or None.
        device: Of the model.
    """
    if given == EAGER:
        return None
    if given and given != AUTO:
        return given
    if configured or not given:
        return configured
    # Without a compiler, the reference would stand in for it.
    if device.type != 'cpu' or not Native.compiles():
        return None
    print_log(
        'the integer model is evaluated by native (--backend eager: operation by '
        'operation)',
        'current',
    )
    return 'native'


def check_backend(name: str, device: torch.device | None = None) -> None:
    """Find out now whether a back end can run here.

    Args:
        name: Of the back end.
        device: Of the model; None: any.

    Raises:
        ConfigError: If it cannot, or there is none of this name.
    """
    try:
        session = Session(name)
        session.check()
    except (KeyError, RuntimeError) as error:
        raise ConfigError(str(error.args[0])) from error
    if device is None:
        return
    try:
        session.check(device)
    except RuntimeError as error:
        others = [other for other in _ON_ANY_DEVICE if other != name]
        raise ConfigError(
            f"back end '{name}' cannot run the model: {error}. Write --device cpu, or "
            f'--backend {" or ".join(others)}, or eager (operation by operation)'
        ) from error
