"""Whether a back end can run where the model is, found out before hours are spent."""

from __future__ import annotations

import torch

from ...calibration import ConfigError
from ...program import Session

#: Back ends that run where the model is.
_ON_ANY_DEVICE = ('compiled', 'reference')


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
            f'--backend {" or ".join(others)}, or no --backend (operation by operation)'
        ) from error
