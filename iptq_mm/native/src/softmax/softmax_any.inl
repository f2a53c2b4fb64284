// The rows of an attention of any constants, for compilers to vectorize.
#pragma once

#include "softmax/exponentials.inl"

namespace iptq {
namespace {

// What a row has: scores of 32 bits; words in its first half, as kernels for one
// instruction set make them; or words of which INT16_MIN is what a mask hides.
enum Scores { kAsNumbers, kAsWords, kAsHiddenWords };

// Accumulators of rows to scores, with what is added to them; these are no words.
inline void any_score_rows(const Attention& a, i64 group, i64 row, i64 rows, i32* scores,
                           i64 distance) {
  const Requantization& r = a.score;
  const i32 multiplier = static_cast<i32>(r.multiplier);
  for (const i64 end = row + rows; row < end; ++row, scores += distance) {
    for (i64 i = 0; i < a.keys; ++i) {
      const i64 wide = static_cast<i64>(scores[i]) * multiplier + r.offset;
      scores[i] = clamp(wide >> r.shift, r.low, r.high);
    }
    for (i64 s = 0; s < a.additions; ++s) {
      const ScoreAddition& added = a.addition[s];
      const i32* addend = added.addend + added.at[group] + row * added.row;
      for (i64 i = 0; i < a.keys; ++i)
        scores[i] = add_requantized(scores[i], addend[i], added.sum);
    }
  }
}

// The product of three tables' entries, shifted.
inline u32 looked_up(const Softmax& s, i32 difference) {
  const u32 fine = s.fine[difference & 31];
  const u32 product = fine * s.medium[difference >> 5 & 31] >> 16;
  return product * s.mantissa[difference >> 10] >> s.exponent[difference >> 10];
}

// Differences become exponentials, bits of u32; returns their sum.
inline i64 exponentials(const Softmax& s, i32* e, i64 keys) {
  i64 total = 0;
  switch (s.form) {
    case kQuadratic:
      for (i64 i = 0; i < keys; ++i) e[i] = quadratic(halvings(s, e[i]));
      break;
    case kChord:
      for (i64 i = 0; i < keys; ++i) e[i] = chord(halvings(s, e[i]));
      break;
    case kTangent:
      for (i64 i = 0; i < keys; ++i) e[i] = tangent(s, halvings(s, e[i]));
      break;
    default:
      if (s.table)
        for (i64 i = 0; i < keys; ++i) e[i] = s.table[e[i]];
      else
        for (i64 i = 0; i < keys; ++i) e[i] = looked_up(s, e[i]);
  }
  for (i64 i = 0; i < keys; ++i) total += static_cast<u32>(e[i]);
  return total;
}

template <class T>
void probabilities(const Softmax& s, const i32* e, i64 keys, i64 total, T* p) {
  const i64 reciprocal = ((total >> 1) + s.one) / total;
  const i64 half = i64{1} << (s.quotient_shift - 1);
  for (i64 i = 0; i < keys; ++i) {
    const i64 q = (static_cast<i64>(static_cast<u32>(e[i])) * reciprocal + half) >> s.quotient_shift;
    p[i] = static_cast<T>((q < s.high ? q : s.high) + s.zero_point);
  }
}

// Scores become probabilities' codes.
template <class T>
void any_quotients(const Softmax& s, i32* scores, i64 distance, i64 rows, i64 keys, T* p,
                   i64 p_row) {
  for (i64 r = 0; r < rows; ++r, scores += distance, p += p_row) {
    differences(s, scores, keys);
    probabilities(s, scores, keys, exponentials(s, scores, keys), p);
  }
}

// Sums of rows to results, those `out_row` apart.
inline void any_store_results(const Requantization& r, i64 size, const i32* sums,
                              i64 distance, i64 rows, void* out, i64 type, i64 at,
                              i64 out_row) {
  constexpr i64 kRun = 256;
  i32 codes[kRun];
  const i32 multiplier = static_cast<i32>(r.multiplier);
  for (i64 row = 0; row < rows; ++row, sums += distance, at += out_row) {
    for (i64 c = 0; c < size; c += kRun) {
      const i64 count = size - c < kRun ? size - c : kRun;
      for (i64 i = 0; i < count; ++i) {
        const i64 wide = static_cast<i64>(sums[c + i]) * multiplier + r.offset;
        codes[i] = clamp(wide >> r.shift, r.low, r.high);
      }
      write_row(type, 0, out, at + c, 1, count, codes);
    }
  }
}

}  // namespace
}  // namespace iptq
