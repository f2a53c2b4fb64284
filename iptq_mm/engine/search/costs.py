"""Tables of costs: how long the kernels of a model take on a machine."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...calibration import ConfigError
from ...calibration.config import WIDE
from ...calibration.phases.sensitivity.effects import Sensitivities
from ...calibration.phases.sensitivity.forms import WeightForm
from ...program.ir.shared_factors import GROUPS
from ...program.runtime.product_times import LoneProduct, product_times
from ...utils.files import atomic_write

#: Widths of weights and operands for which there are kernels of their own: narrower
#: integers take the next wider one.
KERNEL_BITS = (4, 8)
#: The format of the files.
VERSION = 1


@dataclass
class CostTable:
    """Nanoseconds of kernels, for one image on one thread.

    Attributes:
        machine: Where they were measured.
        nanoseconds: By key, see :func:`product_key`.
    """

    machine: str = ''
    nanoseconds: dict[str, float] = field(default_factory=dict)

    def product(
        self,
        site: str,
        kernel: Mapping[str, Any],
        weight: WeightForm | None,
        activation: int | None,
    ) -> float:
        """Nanoseconds of a product, without the time that factors of groups take.

        Args:
            site: Its name, for the message.
            kernel: See ``SiteSensitivity.kernel``.
            weight: Form of the weight; None: it has none.
            activation: Bits of its other operands; None: they have no choice.

        Returns:
            The time; NaN if the table is empty.

        Raises:
            ConfigError: If the table lacks its kernel.
        """
        if not self.nanoseconds:
            return math.nan
        key = product_key(lone_product(kernel, weight, activation))
        if key not in self.nanoseconds:
            raise ConfigError(
                f"the table of costs has no time of '{site}' ({key}): measure this "
                'model by tools/measure_costs.py'
            )
        return self.nanoseconds[key]

    def has_all(self, found: Sensitivities) -> bool:
        """Whether it has all kernels that the products of a model may have."""
        return products_of(found).keys() <= self.nanoseconds.keys()

    def save(self, path: str | os.PathLike) -> None:
        """Write it as JSON."""
        data = {
            'version': VERSION,
            'machine': self.machine,
            'unit': 'nanoseconds for one image, one thread',
            'kernels': dict(sorted(self.nanoseconds.items())),
        }
        atomic_write(path, json.dumps(data, indent=1) + '\n')

    @classmethod
    def load(cls, path: str | os.PathLike) -> CostTable:
        """Inverse of :meth:`save`.

        Raises:
            ConfigError: If the file is no such table.
            FileNotFoundError: If there is no file.
        """
        try:
            data = json.loads(Path(path).read_text(encoding='utf-8'))
            if data['version'] != VERSION:
                raise ValueError(f'version {data["version"]}, not {VERSION}')
            kernels = {str(k): float(v) for k, v in data['kernels'].items()}
            return cls(str(data['machine']), kernels)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f'{path} is no table of costs ({error}): make one by '
                'tools/measure_costs.py'
            ) from error


def lone_product(
    kernel: Mapping[str, Any], weight: WeightForm | None, activation: int | None
) -> LoneProduct:
    """The product whose time stands for that of a site with certain bits."""
    first, second = (bits or activation or 8 for bits in kernel['given_bits'])
    if weight is not None:
        # Codes of other groups lie in bytes, multiplied out.
        packed = any(weight.group % size == 0 for size in GROUPS)
        second = next(b for b in KERNEL_BITS if weight.bits <= b and (packed or b == 8))
    return LoneProduct(
        kernel['kind'],
        tuple(map(tuple, kernel['shapes'])),
        tuple(kernel['output']),
        dict(kernel['attributes']),
        (_stored(first), second if weight is not None else _stored(second)),
        _stored(kernel['out_bits']),
    )


def _stored(bits: int) -> int:
    """Bits of the type that an activation is stored in."""
    return 8 if bits <= 8 else 16


def product_key(product: LoneProduct) -> str:
    """A name of a kernel: kind, shapes, bits and other arguments."""
    shapes = ' '.join('x'.join(map(str, shape)) for shape in product.shapes)
    more = ''.join(
        f' {k}={v}'.replace(', ', ',') for k, v in sorted(product.attributes.items())
    )
    first, second = product.bits
    return f'{product.kind} {shapes} bits={first},{second},{product.out_bits}{more}'


def measured(found: Sensitivities) -> CostTable:
    """A table of all kernels that the products of a model may have.

    Args:
        found: Has the kernels; errors are not looked at.

    Raises:
        RuntimeError: If there is no native library.
    """
    products = products_of(found)
    times = product_times(list(products.values()))
    return CostTable(machine_name(), dict(zip(products, times, strict=True)))


def products_of(found: Sensitivities) -> dict[str, LoneProduct]:
    """All products that those of a model may be, by key."""
    products: dict[str, LoneProduct] = {}
    for sites in found.values():
        for seen in sites.values():
            wide = (WIDE,) if seen.operation == 'linear' else ()
            for bits in KERNEL_BITS if seen.weight else (None,):
                for activation in (8, *wide):
                    weight = None if bits is None else WeightForm(bits)
                    lone = lone_product(seen.kernel, weight, activation)
                    products[product_key(lone)] = lone
    return products


def machine_name() -> str:
    """The processor of this machine, as its operating system calls it."""
    return _model_name(_cpu_lines()) or platform.processor() or platform.machine()


def _cpu_lines() -> Iterable[str]:
    path = Path('/proc/cpuinfo')
    return path.read_text().splitlines() if path.exists() else []


def _model_name(lines: Iterable[str]) -> str:
    names = (line.partition(':')[2] for line in lines if line.startswith('model name'))
    return next(names, '').strip()
