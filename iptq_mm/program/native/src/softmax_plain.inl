// The rows of an attention, for compilers to vectorize.
#pragma once

#include "arithmetic.inl"

namespace iptq {
namespace {

// Accumulators of a row to scores, with what is added to them.
inline void score_row(const Attention& a, i64 group, i64 row, i32* scores) {
  const Requantization& r = a.score;
  const i32 multiplier = static_cast<i32>(r.multiplier);
  for (i64 i = 0; i < a.keys; ++i) {
    const i64 wide = static_cast<i64>(scores[i]) * multiplier + r.offset;
    scores[i] = clamp(wide >> r.shift, r.low, r.high);
  }
  for (i64 s = 0; s < a.stages; ++s) {
    const Stage& stage = a.stage[s];
    const i32* addend = stage.addend + stage.at[group] + row * stage.row;
    for (i64 i = 0; i < a.keys; ++i)
      scores[i] = add_requantized(scores[i], addend[i], stage.sum);
  }
}

// How far each score lies below the largest, limited and coarsened.
inline void differences(const Attention& a, i32* scores) {
  i32 largest = scores[0];
  for (i64 i = 1; i < a.keys; ++i) largest = scores[i] > largest ? scores[i] : largest;
  const i32 limit = static_cast<i32>(a.clamp);
  for (i64 i = 0; i < a.keys; ++i) {
    const i32 d = largest - scores[i];
    scores[i] = d < limit ? d : limit;
  }
  if (a.down == 0) return;
  const i32 but_one = static_cast<i32>(a.down - 1);
  for (i64 i = 0; i < a.keys; ++i) scores[i] = ((scores[i] >> but_one) + 1) >> 1;
}

// Replaces differences by exponentials; returns their sum.
inline i64 exponentials(const Attention& a, const i32* differences, i64* e) {
  i64 total = 0;
  if (a.table_high)
    for (i64 i = 0; i < a.keys; ++i)
      e[i] = static_cast<i64>(a.table_high[differences[i] >> 8]) *
             a.table[differences[i] & 255];
  else
    for (i64 i = 0; i < a.keys; ++i) e[i] = a.table[differences[i]];
  for (i64 i = 0; i < a.keys; ++i) total += e[i];
  return total;
}

template <class T>
void probabilities(const Attention& a, const i64* e, i64 total, T* p) {
  const i64 reciprocal = ((total >> 1) + a.one) / total;
  const i64 half = i64{1} << (a.quotient_shift - 1);
  for (i64 i = 0; i < a.keys; ++i) {
    const i64 q = (e[i] * reciprocal + half) >> a.quotient_shift;
    p[i] = static_cast<T>((q < a.p_high ? q : a.p_high) - a.p_base);
  }
}

// What a task makes of the tables: nothing here.
struct Tables {
  explicit Tables(const Attention&) {}
};

// Scores become probabilities' codes; `e` has room for the row.
template <class T>
void softmax_row(const Attention& a, const Tables&, i32* scores, i64* e, T* p) {
  differences(a, scores);
  const i64 total = exponentials(a, scores, e);
  probabilities(a, e, total, p);
}

// Sums of a row to results.
inline void store_result(const Attention& a, const i32* sums, i64 at) {
  constexpr i64 kRun = 256;
  i32 codes[kRun];
  const Requantization& r = a.result;
  const i32 multiplier = static_cast<i32>(r.multiplier);
  for (i64 c = 0; c < a.value_depth; c += kRun) {
    const i64 count = a.value_depth - c < kRun ? a.value_depth - c : kRun;
    for (i64 i = 0; i < count; ++i) {
      const i64 wide = static_cast<i64>(sums[c + i]) * multiplier + r.offset;
      codes[i] = clamp(wide >> r.shift, r.low, r.high);
    }
    write_row(a.out_type, 0, a.out, at + c, 1, count, codes);
  }
}

}  // namespace
}  // namespace iptq
