// The rows of an attention, for compilers to vectorize.
#pragma once

#include "exponentials.inl"

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

// What a task makes of the tables: nothing here.
struct Tables {
  explicit Tables(const Softmax&) {}
};

// Replaces differences by exponentials; returns their sum.
inline i64 exponentials(const Softmax& s, const i32* differences, i64 keys, i64* e) {
  i64 total = 0;
  switch (s.form) {
    case kQuadratic:
      for (i64 i = 0; i < keys; ++i) e[i] = quadratic(halvings(s, differences[i]));
      break;
    case kChord:
      for (i64 i = 0; i < keys; ++i) e[i] = chord(halvings(s, differences[i]));
      break;
    case kTangent:
      for (i64 i = 0; i < keys; ++i) e[i] = tangent(s, halvings(s, differences[i]));
      break;
    default:
      if (s.table_high)
        for (i64 i = 0; i < keys; ++i)
          e[i] = static_cast<i64>(s.table_high[differences[i] >> 8]) *
                 s.table[differences[i] & 255];
      else
        for (i64 i = 0; i < keys; ++i) e[i] = s.table[differences[i]];
  }
  for (i64 i = 0; i < keys; ++i) total += e[i];
  return total;
}

template <class T>
void probabilities(const Softmax& s, const i64* e, i64 keys, i64 total, T* p) {
  const i64 reciprocal = ((total >> 1) + s.one) / total;
  const i64 half = i64{1} << (s.quotient_shift - 1);
  for (i64 i = 0; i < keys; ++i) {
    const i64 q = (e[i] * reciprocal + half) >> s.quotient_shift;
    p[i] = static_cast<T>((q < s.high ? q : s.high) - s.base);
  }
}

// Scores become probabilities' codes; `e` has room for the row.
template <class T>
void quotients(const Softmax& s, const Tables&, i32* scores, i64 keys, i64* e, T* p) {
  differences(s, scores, keys);
  const i64 total = exponentials(s, scores, keys, e);
  probabilities(s, e, keys, total, p);
}

// Sums of a row to results.
inline void store_result(const Requantization& r, i64 size, void* out, i64 type,
                         const i32* sums, i64 at) {
  constexpr i64 kRun = 256;
  i32 codes[kRun];
  const i32 multiplier = static_cast<i32>(r.multiplier);
  for (i64 c = 0; c < size; c += kRun) {
    const i64 count = size - c < kRun ? size - c : kRun;
    for (i64 i = 0; i < count; ++i) {
      const i64 wide = static_cast<i64>(sums[c + i]) * multiplier + r.offset;
      codes[i] = clamp(wide >> r.shift, r.low, r.high);
    }
    write_row(type, 0, out, at + c, 1, count, codes);
  }
}

}  // namespace
}  // namespace iptq
