// Arrays in .npy files, as ../cli/numpy.cpp reads and writes them.
const CODES = {
  '|u1': Uint8Array, '|i1': Int8Array, '<i2': Int16Array, '<i4': Int32Array,
  '<f4': Float32Array,
};

/** Returns {data, shape} of a file's bytes. */
export function readNumpy(bytes, path) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6];
  const start = version === 1 ? 10 : 12;
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const type = CODES[/'descr': '([^']*)'/.exec(header)?.[1]];
  const shape = /'shape': \(([^)]*)\)/.exec(header)?.[1];
  if (!type || shape === undefined || /'fortran_order': True/.test(header))
    throw new Error(`${path} is no .npy file of bytes, int16, int32 or float32 in C order`);
  const data = new type(Uint8Array.prototype.slice.call(bytes, start + length).buffer);
  return {data, shape: shape.split(',').filter((x) => x.trim()).map(Number)};
}

/** Returns the bytes of a file. */
export function numpyBytes(data, shape) {
  const code = Object.keys(CODES).find((name) => data instanceof CODES[name]);
  const dimensions = shape.map((n) => `${n},`).join(' ');
  const text = `{'descr': '${code}', 'fortran_order': False, 'shape': (${dimensions}), }`;
  const padded = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + '\n';
  const head = new Uint8Array([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 0, 0]);
  new DataView(head.buffer).setUint16(8, padded.length, true);
  const body = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.concat([head, new TextEncoder().encode(padded), body]);
}
