// Exponentials of a row's differences to its largest number, as 2**-halvings.
#pragma once

#include "arithmetic.inl"

namespace iptq {
namespace {

constexpr int kFraction = 25;  // fraction bits of halvings
constexpr i32 kOne = 1 << kFraction;

// i-exp of I-BERT: (t - vertex)**2 + floor, t with 14 bits.
constexpr int kQuadraticBits = 14;
constexpr i32 kVertex = 31997, kFloor = 536204219;
constexpr i64 kQuadraticOne = static_cast<i64>(kVertex) * kVertex + kFloor;

// How far each score lies below the largest, limited and coarsened; in place.
inline void differences(const Softmax& s, i32* scores, i64 keys) {
  i32 largest = scores[0];
  for (i64 i = 1; i < keys; ++i) largest = scores[i] > largest ? scores[i] : largest;
  const u32 limit = static_cast<u32>(s.clamp);
  for (i64 i = 0; i < keys; ++i) {
    const u32 d = static_cast<u32>(largest) - static_cast<u32>(scores[i]);
    scores[i] = static_cast<i32>(d < limit ? d : limit);
  }
  if (s.down == 0) return;
  const i32 but_one = static_cast<i32>(s.down - 1);
  for (i64 i = 0; i < keys; ++i) scores[i] = ((scores[i] >> but_one) + 1) >> 1;
}

inline i32 halvings(const Softmax& s, i32 difference) {
  const i32 h = difference * static_cast<i32>(s.multiplier);
  const i32 cap = static_cast<i32>(s.cap);
  return cap && h > cap ? cap : h;
}

inline i32 quadratic_mantissa(i32 halvings) {
  const i32 t = (halvings >> (kFraction - kQuadraticBits)) & ((1 << kQuadraticBits) - 1);
  return (t - kVertex) * (t - kVertex) + kFloor;
}

inline i32 quadratic(i32 halvings) {
  return quadratic_mantissa(halvings) >> (halvings >> kFraction);
}

// 1 - t/2, of I-ViT.
inline i32 chord(i32 halvings) {
  return (2 * kOne - (halvings & (kOne - 1))) >> (halvings >> kFraction);
}

// 1 - r * 11/16, of IPTQ-ViT.
inline i32 tangent(const Softmax& s, i32 halvings) {
  const i32 half = static_cast<i32>(s.half), moved = halvings + half;
  const i32 r = (moved & (kOne - 1)) - half;
  return (((r * -11) >> 4) + kOne) >> (moved >> kFraction);
}

// log_int_softmax: powers of two. A code is the number of halvings, that of the
// row's sum, and one more where the mantissa is below the sum's.
template <class T>
void powers(const Softmax& s, i32* scores, i64 keys, T* p) {
  differences(s, scores, keys);
  i64 total = 0;
  for (i64 i = 0; i < keys; ++i) {
    scores[i] = halvings(s, scores[i]);
    total += quadratic(scores[i]);
  }
  total = (total << 2) / 3;
  const i64 whole = total / kQuadraticOne;
  const i32 exponent = 63 - __builtin_clzll(whole);
  const i32 middle = static_cast<i32>(total >> (exponent + 1));
  const i32 last = static_cast<i32>(s.codes - 1);
  for (i64 i = 0; i < keys; ++i) {
    const i32 code = (scores[i] >> kFraction) + exponent +
                     (quadratic_mantissa(scores[i]) <= middle);
    p[i] = static_cast<T>(s.table[code < last ? code : last] + s.zero_point);
  }
}

}  // namespace
}  // namespace iptq
