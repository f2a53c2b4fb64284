/** A variant of the module: which instructions of WebAssembly its kernels use. */
export type Variant = 'simd128+relaxed' | 'simd128';
export const variants: Variant[];

/** The variants that this engine can run bit for bit, the best one first. */
export function available(): Variant[];

export interface LoadOptions {
  /** Else the best that the engine has. */
  variant?: Variant;
  /** The module or its bytes, instead of the file beside index.js. */
  module?: WebAssembly.Module | BufferSource;
}

export function load(options?: LoadOptions): Promise<Runtime>;

export type IntegerType = 'uint8' | 'int8' | 'int16' | 'int32';
export type Numbers = Float32Array | Uint8Array | Int8Array | Int16Array | Int32Array;

/** An input or an output. */
export interface Port {
  readonly name: string;
  /** Real numbers, images (0 to 255, or normalized floats), or integers as they are. */
  readonly kind: 'real' | 'pixels' | 'given';
  readonly integers: IntegerType;
  /** Real value of the integer 1. */
  readonly scale: number;
  readonly low: number;
  readonly high: number;
  readonly shape: number[];
  readonly elements: number;
  /** Of images: 'RGB', 'BGR', 'grey', or '' where nobody knows. */
  readonly order?: string;
  readonly mean?: number[];
  readonly std?: number[];
}

export class Runtime {
  readonly version: string;
  readonly instructions: Variant;
  /** Opens the contents of an .iptq file. */
  open(file: ArrayBuffer | ArrayBufferView): Model;
}

export class Model {
  readonly name: string;
  readonly inputs: Port[];
  readonly outputs: Port[];
  /** Bytes that a call needs besides the file. */
  readonly workingMemory: number;
  predict(inputs: Numbers[]): Float32Array[];
  predict(inputs: Numbers[], options: {integers: boolean}): Numbers[];
  close(): void;
}
