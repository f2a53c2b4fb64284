// What this JavaScript engine can do.

// (module (func (export "f") (result i32)
//   (i32x4.extract_lane 0 (i32x4.relaxed_dot_i8x16_i7x16_add_s
//     WEIGHTS ROW (i32x4.splat 0)))))
// Weights of 127, -128, and a row of 255 in all bytes: 16-bit sums of pairs would saturate.
function probe(weight) {
  const vector = (byte) => [0xfd, 12, ...Array(16).fill(byte)];
  const body = [
    0, ...vector(weight), ...vector(0xff), ...vector(0), 0xfd, 0x93, 2, 0xfd, 27, 0, 0x0b,
  ];
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    1, 5, 1, 0x60, 0, 1, 0x7f,
    3, 2, 1, 0,
    7, 5, 1, 1, 0x66, 0, 0,
    10, body.length + 2, 1, body.length, ...body,
  ]);
}

function dot(weight) {
  const module = new WebAssembly.Module(probe(weight & 0xff));
  return new WebAssembly.Instance(module).exports.f();
}

/**
 * Returns whether relaxed products of bytes exist and are exact for rows of 8 bits without
 * a sign: 4 * 255 * weight, rather than with a sign or saturated.
 */
export function hasExactByteProducts() {
  if (!WebAssembly.validate(probe(0))) return false;
  return dot(127) === 4 * 255 * 127 && dot(-128) === 4 * 255 * -128;
}
