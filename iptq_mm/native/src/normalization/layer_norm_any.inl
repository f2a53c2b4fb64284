// Rows of a LayerNorm of any constants, for compilers to vectorize.
#pragma once

#include "arithmetic.inl"

namespace iptq {
namespace {

struct Moments {
  i64 total, squares;
};

inline Moments any_moments_of(const i16* x, i64 size) {
  Moments m{0, 0};
  for (i64 i = 0; i < size; ++i) m.total += x[i];
  for (i64 i = 0; i < size; ++i) m.squares += static_cast<i32>(x[i]) * x[i];
  return m;
}

// gamma * y / root + beta, to codes, from a column on; y = x * factor - centre, which fits
// 32 bits.
inline void any_normalized(const LayerNorm& n, const i16* x, i64 column, i64 factor,
                           i64 centre, i64 reciprocal, i64 target) {
  constexpr i64 kBlock = 256;
  const u32 size = static_cast<u32>(factor), sum = static_cast<u32>(centre);
  i32 codes[kBlock];
  for (i64 c = column; c < n.size; c += kBlock) {
    const i64 count = n.size - c < kBlock ? n.size - c : kBlock;
    for (i64 i = 0; i < count; ++i) {
      const i32 y = static_cast<i32>(static_cast<u32>(x[c + i]) * size - sum);
      const i32 z = static_cast<i32>((y * reciprocal) >> n.drop);
      const i64 wide = static_cast<i64>(z) * n.multiplier[c + i] + n.addend[c + i];
      codes[i] = clamp(wide >> n.shift, n.low, n.high);
    }
    write_row(n.out_type, 0, n.out, target * n.out_row + c, 1, count, codes);
  }
}

}  // namespace
}  // namespace iptq
