// Rows of a LayerNorm, for compilers to vectorize.
#pragma once

#include "arithmetic.inl"

namespace iptq {
namespace {

struct Moments {
  i64 total, squares;
};

inline Moments moments_of(const i16* x, i64 size) {
  Moments m{0, 0};
  for (i64 i = 0; i < size; ++i) m.total += x[i];
  for (i64 i = 0; i < size; ++i) m.squares += static_cast<i32>(x[i]) * x[i];
  return m;
}

// gamma * y / root + beta, to codes.
inline void normalized(const LayerNorm& n, const i16* x, i64 total, i64 reciprocal,
                       i64 target) {
  constexpr i64 kBlock = 256;
  const i32 size = static_cast<i32>(n.size), sum = static_cast<i32>(total);
  i32 codes[kBlock];
  for (i64 c = 0; c < n.size; c += kBlock) {
    const i64 count = n.size - c < kBlock ? n.size - c : kBlock;
    for (i64 i = 0; i < count; ++i) {
      const i32 y = x[c + i] * size - sum;
      const i32 z = static_cast<i32>((y * reciprocal) >> n.drop);
      const i64 wide = static_cast<i64>(z) * n.multiplier[c + i] + n.addend[c + i];
      codes[i] = clamp(wide >> n.shift, n.low, n.high);
    }
    write_row(n.out_type, 0, n.out, target * n.out_row + c, 1, count, codes);
  }
}

}  // namespace
}  // namespace iptq
