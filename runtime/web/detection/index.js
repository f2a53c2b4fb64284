// Detectors: their regions are integer programs, and this is what stands between them.
// ../../python/iptq_runtime/detection computes the same numbers, to the last bit.
import {anchors, byScore, chosen, decoded, kept} from './boxes.js';
import {sigmoid, softmax} from './exact.js';
import {pasted} from './masks.js';
import {pooled, TYPES} from './pooling.js';

/** Version of detector.json. */
export const VERSION = 1;

function checkVersion({version}) {
  if (version !== VERSION)
    throw new Error(`detector.json has version ${version}, this package reads ${VERSION}: ` +
                    'export the detector again');
}

// Numbers of each anchor, in the order of anchors(), times their scale.
function byPlace(output, port, numbers) {
  const [, channels, height, width] = port.shape, places = height * width;
  const made = new Float64Array(output.length);
  for (let channel = 0; channel < channels; ++channel)
    for (let place = 0; place < places; ++place)
      made[place * channels + channel] = output[channel * places + place] * port.scale;
  return {made, count: made.length / numbers};
}

// Of the deltas for every class, those of one.
function ofClass(deltas, labels) {
  const each = deltas.length / labels.length / 4;
  return chosen(deltas, labels.map((label, i) => i * each + label));
}

/** A two-stage detector, with one stage of boxes or a cascade, with masks or without. */
export class Detector {
  /**
   * @param settings The contents of detector.json.
   * @param models Open models, by the names that the settings give them.
   */
  constructor(settings, models) {
    checkVersion(settings);
    const {trunk, proposals} = settings;
    Object.assign(this, {settings, models});
    this.trunk = models[trunk.file];
    this.inputs = this.trunk.inputs;
    this.mapPorts = trunk.maps.map((i) => this.trunk.outputs[i]);
    this.anchors = proposals.anchors.map((base, i) =>
      anchors(base, proposals.strides[i], this.trunk.outputs[trunk.scores[i]].shape.slice(2)));
  }

  /**
   * Opens a detector.
   *
   * @param runtime From load().
   * @param settings The contents of detector.json.
   * @param contents A function from a file's name to its bytes, or a promise of them.
   */
  static async open(runtime, settings, contents) {
    checkVersion(settings);
    const parts = [settings.trunk, ...settings.boxes.stages, ...settings.masks?.stages ?? []];
    const models = {};
    try {
      for (const {file} of parts) models[file] = runtime.open(await contents(file));
      return new Detector(settings, models);
    } catch (error) {
      Object.values(models).forEach((model) => model.close());
      throw error;
    }
  }

  /**
   * Detects objects.
   *
   * @param pixels Bytes in planes, as the first program takes them.
   * @return {boxes, scores, labels, masks, count, integers}, by falling score; masks are
   *     null where the detector has none; integers are {data, shape} of all that the
   *     regions gave.
   */
  detect(pixels) {
    const integers = [];
    const outputs = this.trunk.predict([pixels], {integers: true});
    outputs.forEach((data, i) => integers.push({data, shape: this.trunk.outputs[i].shape}));
    const maps = this.settings.trunk.maps.map((i) => outputs[i]);
    const found = this.objects(maps, this.proposals(outputs), integers);
    const masks = this.settings.masks ? this.cover(maps, found, integers) : null;
    return {...found, masks, count: found.scores.length, integers};
  }

  /** Boxes that may hold an object, by falling score. */
  proposals(outputs) {
    const {proposals, trunk, image} = this.settings, ports = this.trunk.outputs;
    const boxes = [], scores = [], groups = [];
    this.anchors.forEach((from, level) => {
      const [at, moved] = [trunk.scores[level], trunk.deltas[level]];
      const {made: score, count} = byPlace(outputs[at], ports[at], 1);
      const {made: delta} = byPlace(outputs[moved], ports[moved], 4);
      const most = proposals.candidates;
      const order = most > 0 && most < count ? byScore(score).slice(0, most)
                                             : Uint32Array.from(score.keys());
      const here = decoded(chosen(from, order), chosen(delta, order), proposals.coder, image);
      order.forEach((place, i) => {
        const [x1, y1, x2, y2] = here.subarray(4 * i, 4 * i + 4);
        if (!(x2 - x1 > proposals.smallest && y2 - y1 > proposals.smallest)) return;
        boxes.push(x1, y1, x2, y2);
        scores.push(score[place]);
        groups.push(level);
      });
    });
    const all = Float64Array.from(boxes);
    return chosen(all, kept(all, scores, groups, proposals.overlap, proposals.count));
  }

  /** The boxes of objects, their scores and labels. */
  objects(maps, boxes, integers) {
    const {boxes: settings, image} = this.settings, {stages} = settings;
    let sums = null, deltas = null;
    stages.forEach((stage, number) => {
      const {outputs: ports} = this.models[stage.file];
      const made = this.head(stage.file, maps, boxes, settings.pool);
      integers.push(...made);
      const scale = ports[stage.scores].scale, {data} = made[stage.scores];
      const logits = Float64Array.from(data, (q) => q * scale);
      sums = sums ? sums.map((sum, i) => sum + logits[i]) : logits;
      const step = ports[stage.deltas].scale;
      deltas = Float64Array.from(made[stage.deltas].data, (q) => q * step);
      if (number + 1 === stages.length) return;
      if (!stage.agnostic) deltas = ofClass(deltas, this.best(logits, boxes.length / 4));
      boxes = decoded(boxes, deltas, stage.coder, image);
    });
    const last = stages[stages.length - 1], count = boxes.length / 4;
    const classes = sums.length / Math.max(count, 1), of = [], scores = [], labels = [];
    for (let box = 0; box < count; ++box) {
      const logits = sums.subarray(box * classes, (box + 1) * classes);
      const row = softmax(logits.map((x) => x / stages.length));
      for (let label = 0; label < classes - 1; ++label)
        if (row[label] > settings.least) {
          of.push(box);
          scores.push(row[label]);
          labels.push(label);
        }
    }
    const each = last.agnostic ? 1 : classes - 1;
    const moved = chosen(deltas, of.map((box, i) => box * each + (each > 1 ? labels[i] : 0)));
    const all = decoded(chosen(boxes, of), moved, last.coder, image);
    const order = kept(all, scores, labels, settings.overlap, settings.count);
    return {
      boxes: chosen(all, order),
      scores: Float64Array.from(order, (i) => scores[i]),
      labels: Int32Array.from(order, (i) => labels[i]),
    };
  }

  // The class of the largest logit of each box, the background left out.
  best(logits, count) {
    const classes = logits.length / count;
    return Array.from({length: count}, (_, box) => {
      const row = logits.subarray(box * classes, (box + 1) * classes - 1);
      return row.reduce((found, x, i) => (x > row[found] ? i : found), 0);
    });
  }

  /** Which pixels belong to each object, an Int8Array for each. */
  cover(maps, {boxes, labels}, integers) {
    const {masks: settings, image} = this.settings;
    const grids = settings.stages.map(({file}) => {
      const [port] = this.models[file].outputs;
      const [made] = this.head(file, maps, boxes, settings.pool);
      integers.push(made);
      const [, classes, cells] = port.shape, plane = cells * cells;
      return Array.from(labels, (label, box) => {
        const at = (box * classes + (classes > 1 ? label : 0)) * plane;
        return Float64Array.from(made.data.subarray(at, at + plane),
                                 (q) => sigmoid(q * port.scale));
      });
    });
    const [{shape: [, , cells]}] = this.models[settings.stages[0].file].outputs;
    return Array.from(labels, (_, box) => {
      const mean = grids[0][box].map((first, i) =>
        grids.slice(1).reduce((sum, grid) => sum + grid[box][i], first) / grids.length);
      return pasted(mean, cells, boxes.subarray(4 * box, 4 * box + 4), image,
                    settings.threshold);
    });
  }

  // What a head gives for boxes, {data, shape} for each output; its program takes a number
  // of boxes at once.
  head(file, maps, boxes, pool) {
    const model = this.models[file], [port] = model.inputs;
    const [atOnce] = port.shape, count = boxes.length / 4;
    const given = pooled(maps, this.mapPorts, boxes, pool, port);
    const each = port.elements / atOnce;
    const made = model.outputs.map((p) => ({
      data: new TYPES[p.integers](count * (p.elements / atOnce)),
      shape: [count, ...p.shape.slice(1)],
    }));
    for (let first = 0; first < count; first += atOnce) {
      const some = Math.min(atOnce, count - first);
      const part = new TYPES[port.integers](port.elements);
      part.set(given.subarray(first * each, (first + some) * each));
      model.predict([part], {integers: true}).forEach((data, k) => {
        const size = data.length / atOnce;
        made[k].data.set(data.subarray(0, some * size), first * size);
      });
    }
    return made;
  }

  /** Every number of a result, {data, shape}: what a digest is made of. */
  arrays({boxes, scores, labels, masks, count, integers}) {
    const made = [...integers, {data: boxes, shape: [count, 4]},
                  {data: scores, shape: [count]}, {data: labels, shape: [count]}];
    if (!masks) return made;
    const [height, width] = this.settings.image;
    const data = new Int8Array(count * height * width);
    masks.forEach((mask, i) => data.set(mask, i * mask.length));
    return [...made, {data, shape: [count, height, width]}];
  }

  /** Frees its memory. */
  close() {
    for (const model of Object.values(this.models)) model.close();
  }
}
