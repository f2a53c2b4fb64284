// Functions of doubles that are the same everywhere: ../../python/iptq_runtime/detection
// has the same, step by step.
const HIGH = 0.6931471803691238, LOW = 1.9082149292705877e-10, PER_LN2 = 1.4426950408889634;
const LARGEST = 700, MOST = 1010;

const TERMS = [1];
for (let n = 1; n < 14; ++n) TERMS.unshift(TERMS[0] / n);

const POWERS = new Float64Array(2 * MOST + 1);
POWERS[MOST] = 1;
for (let i = 1; i <= MOST; ++i) {
  POWERS[MOST + i] = POWERS[MOST + i - 1] * 2;
  POWERS[MOST - i] = POWERS[MOST - i + 1] / 2;
}

/** Clamps a number. */
export function clip(x, low, high) {
  return Math.min(Math.max(x, low), high);
}

/** Rounds to the nearest whole number, halves to even, below 2**51. */
export function rounded(x) {
  return x + 6755399441055744 - 6755399441055744;
}

/** exp(x), within two units in the last place, of x from -700 to 700. */
export function exponential(x) {
  x = clip(x, -LARGEST, LARGEST);
  const power = Math.floor(x * PER_LN2 + 0.5);
  const rest = (x - power * HIGH) - power * LOW;
  let value = TERMS[0];
  for (let i = 1; i < TERMS.length; ++i) value = value * rest + TERMS[i];
  return value * POWERS[MOST + power];
}

/** 1 / (1 + exp(-x)). */
export function sigmoid(x) {
  return 1 / (1 + exponential(-x));
}

/** The probabilities of a row of logits. */
export function softmax(row) {
  const most = row.reduce((a, b) => Math.max(a, b));
  const powers = row.map((x) => exponential(x - most));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((x) => x / total);
}
