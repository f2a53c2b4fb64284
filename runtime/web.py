"""Build the runtime as WebAssembly into its package of JavaScript, runtime/web/.

python runtime/web.py
"""

import argparse

from runtime_checks.wasm import VARIANTS, WasmTarget


def main() -> None:
    """Run the script."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    package = WasmTarget().build()
    for name in VARIANTS:
        path = package / f'{name}.wasm'
        print(f'{path}: {path.stat().st_size / 1e3:.0f} kB')


if __name__ == '__main__':
    main()
