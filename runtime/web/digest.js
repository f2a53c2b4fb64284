// As ../runtime_checks/comparing.py: of types, shapes and values.
const NAMES = {
  Int8Array: '|i1', Int16Array: '<i2', Int32Array: '<i4', Float64Array: '<f8',
};

function shapeText(shape) {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
}

/**
 * Returns the digest of arrays.
 *
 * @param arrays Typed arrays.
 * @param described What has their shapes, such as the outputs of a model.
 */
export async function digest(arrays, described) {
  const parts = arrays.flatMap((x, i) => [
    new TextEncoder().encode(NAMES[x.constructor.name] + shapeText(described[i].shape)),
    new Uint8Array(x.buffer, x.byteOffset, x.byteLength),
  ]);
  const all = await new Blob(parts).arrayBuffer();
  const {subtle} = globalThis.crypto ?? (await import('node:crypto')).webcrypto;
  const hash = new Uint8Array(await subtle.digest('SHA-256', all));
  return Array.from(hash.subarray(0, 8), (b) => b.toString(16).padStart(2, '0')).join('');
}
