import type {Port, Runtime} from '../index.js';

/** An array of numbers and its shape. */
export interface Shaped {
  data: Int8Array | Int16Array | Int32Array | Float64Array;
  shape: number[];
}

/** What was found, by falling score. */
export interface Detections {
  count: number;
  /** x1, y1, x2, y2 in pixels, four numbers for each object. */
  boxes: Float64Array;
  /** From 0 to 1. */
  scores: Float64Array;
  labels: Int32Array;
  /** For each object 1 where a pixel belongs to it, row by row; null without masks. */
  masks: Int8Array[] | null;
  /** All that the regions gave, in the order of the calls. */
  integers: Shaped[];
}

/** A two-stage detector. */
export class Detector {
  readonly inputs: Port[];
  /** `settings` are the contents of detector.json; `contents` gives the bytes of a file. */
  static open(
    runtime: Runtime,
    settings: {version: number},
    contents: (name: string) => Promise<ArrayBuffer | Uint8Array> | ArrayBuffer | Uint8Array,
  ): Promise<Detector>;
  /** `pixels` are bytes in planes, in the order that `inputs[0].order` says. */
  detect(pixels: Uint8Array): Detections;
  /** Every number of a result: what a digest is made of. */
  arrays(found: Detections): Shaped[];
  close(): void;
}
