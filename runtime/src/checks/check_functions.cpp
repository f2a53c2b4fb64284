// Checks of softmaxes, attentions and LayerNorms.
#include "checks/check.h"

namespace iptq {

void check(Check& c, const Softmax& s) {
  constexpr i64 kMost31 = (i64{1} << 31) - 1;
  c.within(s.form, kTables, kPowers, "the exponential");
  c.within(s.clamp, 0, kMost31, "the largest difference");
  c.within(s.down, 0, 31, "a shift");
  c.within(s.multiplier, 0, kMost31, "a multiplier");
  c.within(s.cap, 0, kMost31, "a limit");
  c.within(s.half, 0, i64{1} << 25, "a half");
  c.within(s.high, 0, i64{1} << 30, "the largest probability");
  if (!c.ok()) return;
  const i64 most = s.down ? ((s.clamp >> (s.down - 1)) + 1) >> 1 : s.clamp;
  if (s.form != kTables)
    c.that((Count(most) * s.multiplier + s.half).valid() &&
               most * s.multiplier + s.half <= kMost31,
           "the largest difference");
  // Kernels load the small tables of any form that has some.
  c.that(s.form == kTables || !raw(s.fine), "the exponentials");
  if (s.form == kPowers) {
    c.within(s.codes, 1, 1 << 16, "the number of codes");
    c.table<i32>(raw(s.table), s.codes, "the codes");
    return;
  }
  c.within(s.quotient_shift, 1, 62, "a shift");
  c.within(s.one, 0, i64{1} << 62, "one");
  if (s.form != kTables) return;
  // The largest score's exponential is that of 0: the sum is never 0.
  if (raw(s.table)) {
    const i32* table = c.table<i32>(raw(s.table), Count(most) + 1, "the exponentials");
    c.that(table && table[0] != 0, "the exponentials");
  }
  if (!raw(s.fine)) {
    c.that(raw(s.table) != 0, "the exponentials");
    return;
  }
  c.within(most, 0, UINT16_MAX, "the largest difference");
  const u16* fine = c.table<u16>(raw(s.fine), 32, "the exponentials");
  const u16* medium = c.table<u16>(raw(s.medium), 32, "the exponentials");
  const u16* mantissa = c.table<u16>(raw(s.mantissa), 64, "the exponentials");
  c.entries<u16>(raw(s.exponent), 64, 0, 31, "the exponentials");
  if (!c.ok()) return;
  const u16* exponent = c.table<u16>(raw(s.exponent), 64, "the exponentials");
  const u32 product = static_cast<u32>(fine[0]) * medium[0] >> 16;
  c.that((product * mantissa[0]) >> exponent[0] != 0, "the exponentials");
  // Kernels add two of them in 32 bits.
  u32 most_fine = 0, most_medium = 0;
  for (int i = 0; i < 32; ++i) {
    most_fine = fine[i] > most_fine ? fine[i] : most_fine;
    most_medium = medium[i] > most_medium ? medium[i] : most_medium;
  }
  const u64 within = static_cast<u64>(most_fine) * most_medium >> 16;
  for (int i = 0; i < 64; ++i)
    c.that(static_cast<i64>(within * mantissa[i] >> exponent[i]) <= kMost31,
           "the exponentials");
}

// All tables of a mask leave something of every row: else a sum of exponentials might
// be 0.
static void check_mask(Check& c, const Attention& a, const ScoreAddition& mask, i64 last) {
  // Tables side by side, so that all of them are no longer than the file.
  const Count product = Count(a.queries) * mask.row;
  if (!c.that(product.valid() && mask.row >= a.keys, "a mask")) return;
  const i64 whole = product.value();
  const Count size = Count(a.queries - 1) * mask.row + last + a.keys;
  const i32* table = c.table<i32>(raw(mask.addend), size, "a mask");
  const i64* at = c.table<i64>(raw(mask.at), a.groups, "a mask");
  for (i64 group = 0; c.ok() && group < a.groups; ++group)  // `last` among them
    c.that(at[group] % whole == 0, "a mask");
  if (!c.ok()) return;
  for (i64 r = 0; r < last / whole * a.queries + a.queries; ++r) {
    const i32* row = table + r * mask.row;
    bool leaves = false;
    for (i64 i = 0; i < a.keys; ++i) {
      leaves = leaves || row[i] == 0;
      if (!c.that(row[i] == 0 || row[i] <= -mask.hides, "a mask")) return;
    }
    if (!c.that(leaves, "a mask")) return;
  }
}

void check(Check& c, const Attention& a) {
  c.extent(a.groups, "groups");
  c.extent(a.queries, "queries");
  c.extent(a.keys, "keys");
  c.extent(a.depth, "depth");
  c.extent(a.value_depth, "depth of values");
  c.distance(a.q_row, "the distance of queries");
  c.distance(a.k_row, "the distance of keys");
  c.distance(a.v_row, "the distance of values");
  c.distance(a.out_row, "the distance of results");
  c.within(a.additions, 0, kAdditions, "additions");
  c.that(a.p_type == kU8 || a.p_type == kI16, "the type of probabilities");
  c.requantization(a.score);
  c.requantization(a.result);
  c.result_type(a.out_type);
  if (!c.ok()) return;
  const i64 q = c.largest<i64>(raw(a.q_at), a.groups, 0, "the groups of queries");
  const i64 k = c.largest<i64>(raw(a.k_at), a.groups, 0, "the groups of keys");
  const i64 v = c.largest<i64>(raw(a.v_at), a.groups, 0, "the groups of values");
  const i64 out = c.largest<i64>(raw(a.out_at), a.groups, 0, "the groups of results");
  c.reads(raw(a.q), 0, Count(a.queries - 1) * a.q_row + q + a.depth + -1, 1, "queries");
  c.reads(raw(a.k), 0, Count(a.keys - 1) * a.k_row + k + a.depth + -1, 1, "keys");
  c.reads(raw(a.v), 0, Count(a.keys - 1) * a.v_row + v + a.value_depth + -1, 1, "values");
  c.writes(raw(a.out), 0,
           Count(a.queries - 1) * a.out_row + out + a.value_depth + -1,
           size_of(a.out_type), "the result");
  for (i64 i = 0; c.ok() && i < a.additions; ++i) {
    const ScoreAddition& added = a.addition[i];
    const i64 at = c.largest<i64>(raw(added.at), a.groups, 0, "what is added to scores");
    c.distance(added.row, "what is added to scores");
    c.distance(added.most, "what is added to scores");
    c.distance(added.hides, "a mask");
    c.sum(added.sum);
    c.reads(raw(added.addend), 0, Count(a.queries - 1) * added.row + at + a.keys + -1, 4,
            "what is added to scores");
    if (c.ok() && added.hides) check_mask(c, a, added, at);
  }
  check(c, a.softmax);
}

void check(Check& c, const SoftmaxRows& s) {
  c.extent(s.rows, "rows");
  c.extent(s.size, "the size");
  c.distance(s.x_row, "the distance of rows");
  c.distance(s.out_row, "the distance of rows");
  c.within(s.x_type, kU8, kI32, "the type of scores");
  c.within(s.out_type, kU8, kI32, "the type of the result");
  if (!c.ok()) return;
  c.reads(raw(s.x), 0, Count(s.rows - 1) * s.x_row + s.size + -1, size_of(s.x_type),
          "the scores");
  c.writes(raw(s.out), 0, Count(s.rows - 1) * s.out_row + s.size + -1,
           size_of(s.out_type), "the result");
  check(c, s.softmax);
}

void check(Check& c, const LayerNorm& n) {
  c.within(n.form, kIViT, kFQViT, "the form");
  c.extent(n.rows, "rows");
  c.extent(n.size, "the size");
  c.distance(n.x_row, "the distance of rows");
  c.distance(n.out_row, "the distance of rows");
  c.within(n.up, 0, 31, "a shift");
  c.within(n.root_shift, 0, 31, "a shift");
  c.within(n.epsilon, 1, i64{1} << 62, "epsilon");
  c.within(n.reciprocal_bits, 0, 62, "a shift");
  c.within(n.drop, 0, 63, "a shift");
  c.within(n.shift, 0, 63, "a shift");
  c.within(n.low, INT32_MIN, INT32_MAX, "the range");
  c.within(n.high, n.low, INT32_MAX, "the range");
  c.result_type(n.out_type);
  if (!c.ok()) return;
  const i64 last = raw(n.rows_from)
                       ? c.largest<i32>(raw(n.rows_from), n.rows, -1, "the rows' places")
                       : n.rows - 1;
  c.reads(raw(n.x), 0, Count(last < 0 ? 0 : last) * n.x_row + n.size + -1, 2, "the rows");
  const i64 most = n.form == kFQViT ? i64{1} << 19 : INT32_MAX;
  c.entries<i32>(raw(n.multiplier), n.size, -most, most, "the multipliers");
  c.table<i64>(raw(n.addend), n.size, "the addends");
  if (n.form == kFQViT)
    c.entries<i32>(raw(n.exponent), n.size, -128, 128, "the exponents");
  c.writes(raw(n.out), 0, Count(n.rows - 1) * n.out_row + n.size + -1,
           size_of(n.out_type), "the result");
}

}  // namespace iptq
