"""ONNX Runtime as WebAssembly, in node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .base import Run, Runtime

#: Runs a model on arrays that lie in a folder as raw bytes, and writes the results.
_SCRIPT = """
const fs = require('fs');
const ort = require('onnxruntime-web');
ort.env.wasm.numThreads = 1;
const folder = process.argv[2];
const task = JSON.parse(fs.readFileSync(folder + '/task.json'));
const kinds = {
  bool: Uint8Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array,
  uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array,
  int64: BigInt64Array, uint64: BigUint64Array,
};
(async () => {
  const session = await ort.InferenceSession.create(task.model);
  const feeds = {};
  task.inputs.forEach(({name, dtype, shape}, i) => {
    const bytes = fs.readFileSync(folder + '/in' + i);
    const data = new kinds[dtype](new Uint8Array(bytes).buffer);
    feeds[name] = new ort.Tensor(dtype, data, shape);
  });
  const made = await session.run(feeds);
  const about = session.outputNames.map((name, i) => {
    const {data, type, dims} = made[name];
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    fs.writeFileSync(folder + '/out' + i, bytes);
    return {dtype: type, shape: dims};
  });
  fs.writeFileSync(folder + '/made.json', JSON.stringify(about));
})().catch(error => { console.error(String(error)); process.exit(1); });
"""


class OnnxRuntimeWeb(Runtime):
    """onnxruntime-web, one thread.

    The environment variable ``NODE_PATH`` names the ``node_modules`` that has it.
    """

    name = 'onnxruntime-web'
    packages = ()

    def version(self) -> str:
        """See the base class."""
        for folder in os.environ.get('NODE_PATH', 'node_modules').split(os.pathsep):
            file = Path(folder, 'onnxruntime-web', 'package.json')
            if shutil.which('node') and file.exists():
                return json.loads(file.read_text(encoding='utf-8'))['version']
        raise LookupError(
            'not installed: npm install onnxruntime-web, NODE_PATH=.../node_modules'
        )

    def prepare(self, path: Path) -> Run:
        """See the base class."""
        folder = path.parent
        script = folder / 'run.cjs'
        script.write_text(_SCRIPT, encoding='utf-8')

        def run(feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
            inputs = []
            for i, (name, x) in enumerate(feeds.items()):
                (folder / f'in{i}').write_bytes(x.tobytes())
                inputs.append(dict(name=name, dtype=x.dtype.name, shape=x.shape))
            task = dict(model=str(path), inputs=inputs)
            (folder / 'task.json').write_text(json.dumps(task), encoding='utf-8')
            where = dict(
                os.environ, NODE_PATH=os.environ.get('NODE_PATH', 'node_modules')
            )
            done = subprocess.run(
                ['node', str(script), str(folder)],
                env=where,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise RuntimeError(done.stderr.strip())
            made = json.loads((folder / 'made.json').read_text(encoding='utf-8'))
            return [
                np.frombuffer((folder / f'out{i}').read_bytes(), about['dtype'])
                .reshape(about['shape'])
                .copy()
                for i, about in enumerate(made)
            ]

        return run
