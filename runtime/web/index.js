// Integer models in JavaScript: a thin layer over ../include/iptq.h.
import {hasExactByteProducts} from './engine.js';

/** Names of the module's variants, the best one first. */
export const variants = ['simd128+relaxed', 'simd128'];

const FILES = {'simd128+relaxed': 'iptq-relaxed.wasm', simd128: 'iptq.wasm'};
const KINDS = ['real', 'pixels', 'given'];
const TYPES = [Uint8Array, Int8Array, Int16Array, Int32Array, null, Float32Array];
const NAMES = ['uint8', 'int8', 'int16', 'int32', null, 'float32'];

/** Returns the variants that this engine can run, the best one first. */
export function available() {
  return hasExactByteProducts() ? variants : variants.slice(1);
}

async function contents(name) {
  const url = new URL(name, import.meta.url);
  if (url.protocol === 'file:') {
    const {readFile} = await import('node:fs/promises');
    return readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

// The system's calls that C's library knows of: no model needs one.
function system() {
  const refuse = (name) => () => {
    throw new Error(`the runtime called ${name}`);
  };
  return new Proxy({}, {get: (_, name) => refuse(name), has: () => true});
}

/**
 * Loads the runtime.
 *
 * @param options.variant One of `variants`; else the best that the engine has.
 * @param options.module The module or its bytes, instead of the file beside this one.
 */
export async function load({variant, module} = {}) {
  const possible = available();
  const chosen = variant ?? possible[0];
  if (!FILES[chosen]) throw new Error(`no variant '${chosen}': there are ${variants}`);
  if (!possible.includes(chosen)) throw new Error(`this engine has no ${chosen}`);
  let made = module ?? (await contents(FILES[chosen]));
  if (!(made instanceof WebAssembly.Module)) made = await WebAssembly.compile(made);
  const imports = {};
  for (const {module: from} of WebAssembly.Module.imports(made)) imports[from] = system();
  const instance = await WebAssembly.instantiate(made, imports);
  return new Runtime(instance.exports);
}

/** A loaded module, with the models that are open in it. */
export class Runtime {
  constructor(exports) {
    this.exports = exports;
    exports._initialize?.();
  }

  /** Version of the library. */
  get version() {
    return this.text(this.exports.iptq_version());
  }

  /** The instruction set of its kernels. */
  get instructions() {
    return this.text(this.exports.iptq_instruction_set_in_use());
  }

  /** Opens the contents of an .iptq file: an ArrayBuffer or a view of one. */
  open(file) {
    const bytes = ArrayBuffer.isView(file)
      ? new Uint8Array(file.buffer, file.byteOffset, file.byteLength)
      : new Uint8Array(file);
    const at = this.allocate(bytes.length);
    new Uint8Array(this.exports.memory.buffer).set(bytes, at);
    const model = this.exports.iptq_open_memory(at, bytes.length);
    if (model) return new Model(this, model, at);
    this.exports.iptq_web_free(at);
    throw this.error();
  }

  allocate(bytes) {
    const at = this.exports.iptq_web_allocate(bytes);
    if (!at) throw new Error(`no memory for ${bytes} bytes`);
    return at >>> 0;
  }

  error() {
    return new Error(this.text(this.exports.iptq_last_error()));
  }

  text(at) {
    const bytes = new Uint8Array(this.exports.memory.buffer, at);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }
}

// A description; ../src/wasm/exports.cpp makes sure of the offsets.
function port(runtime, at) {
  const view = new DataView(runtime.exports.memory.buffer, at);
  const word = (offset) => view.getInt32(offset, true);
  const long = (offset) => Number(view.getBigInt64(offset, true));
  const channels = word(132);
  const numbers = (offset) =>
    channels
      ? Array.from(new Float64Array(runtime.exports.memory.buffer, word(offset), channels))
      : undefined;
  return Object.freeze({
    name: runtime.text(word(0)),
    kind: KINDS[word(4)],
    integers: NAMES[word(8)],
    scale: view.getFloat64(16, true),
    low: long(24),
    high: long(32),
    shape: Array.from({length: word(40)}, (_, d) => long(48 + 8 * d)),
    elements: long(112),
    order: channels ? runtime.text(word(120)) : undefined,
    mean: numbers(124),
    std: numbers(128),
  });
}

// Memory of the arrays of a call, and their descriptions.
class Arrays {
  constructor(runtime, types, ports) {
    this.runtime = runtime;
    this.ports = ports;
    this.types = types;
    this.at = runtime.allocate(12 * ports.length);
    this.data = ports.map((p, i) =>
      runtime.allocate(p.elements * TYPES[types[i]].BYTES_PER_ELEMENT));
    const view = new DataView(runtime.exports.memory.buffer, this.at);
    this.data.forEach((data, i) => {
      view.setInt32(12 * i, types[i], true);
      view.setUint32(12 * i + 4, data, true);
      view.setUint32(12 * i + 8, this.bytes(i), true);
    });
  }

  bytes(i) {
    return this.ports[i].elements * TYPES[this.types[i]].BYTES_PER_ELEMENT;
  }

  view(i) {
    const {buffer} = this.runtime.exports.memory;
    return new TYPES[this.types[i]](buffer, this.data[i], this.ports[i].elements);
  }

  free() {
    for (const at of [this.at, ...this.data]) this.runtime.exports.iptq_web_free(at);
  }
}

/** An open model. */
export class Model {
  constructor(runtime, model, file) {
    this.runtime = runtime;
    this.model = model;
    this.file = file;
    const {exports} = runtime;
    const list = (count, one) =>
      Array.from({length: count}, (_, i) => port(runtime, one(model, i)));
    this.name = runtime.text(exports.iptq_name(model));
    this.inputs = list(exports.iptq_inputs(model), exports.iptq_input);
    this.outputs = list(exports.iptq_outputs(model), exports.iptq_output);
    this.workingMemory = exports.iptq_working_memory(model);
    this.kept = new Map();
  }

  /**
   * Runs it.
   *
   * @param given Typed arrays, one for each input: Float32Array, Uint8Array for pixels, or
   *     the port's integers.
   * @param options.integers Whether outputs are integers, instead of floats.
   * @return A typed array for each output.
   */
  predict(given, {integers = false} = {}) {
    if (!this.model) throw new Error('the model was closed');
    const inputs = this.arrays('in', this.inputs, given.map((x) => this.typeOf(x)));
    const wanted = this.outputs.map((p) => (integers ? NAMES.indexOf(p.integers) : 5));
    const outputs = this.arrays(`out${integers}`, this.outputs, wanted);
    given.forEach((x, i) => {
      if (x.length !== this.inputs[i].elements)
        throw new Error(
          `${this.inputs[i].name} takes ${this.inputs[i].elements} numbers, not ${x.length}`);
      inputs.view(i).set(x);
    });
    const {exports} = this.runtime;
    const failed = exports.iptq_predict(
      this.model, inputs.at, given.length, outputs.at, wanted.length);
    if (failed) throw this.runtime.error();
    return wanted.map((_, i) => outputs.view(i).slice());
  }

  typeOf(array) {
    const type = TYPES.findIndex((made) => made && array instanceof made);
    if (type < 0) throw new Error('inputs are Float32Array, or arrays of integers');
    return type;
  }

  // Kept from call to call.
  arrays(name, ports, types) {
    if (ports.length !== types.length)
      throw new Error(`the model takes ${ports.length} inputs, not ${types.length}`);
    const key = `${name} ${types}`;
    if (!this.kept.has(key)) this.kept.set(key, new Arrays(this.runtime, types, ports));
    return this.kept.get(key);
  }

  /** Frees its memory. */
  close() {
    if (!this.model) return;
    for (const arrays of this.kept.values()) arrays.free();
    this.runtime.exports.iptq_close(this.model);
    this.runtime.exports.iptq_web_free(this.file);
    this.model = 0;
  }
}
