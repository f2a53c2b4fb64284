// Sums of two numbers of 32 bits, with 64 bits in between.
#pragma once

#include "arithmetic.inl"
#include "isa/vectors_neon.inl"

namespace iptq {
namespace {

// Sums of 64 bits become dwords.
struct WideResult {
  int64x2_t offset, shift;
  int32x4_t low, high;

  template <class Constants>  // those of a requantization or of a sum
  explicit WideResult(const Constants& c)
      : offset(vdupq_n_s64(c.offset)),
        shift(vdupq_n_s64(-c.shift)),
        low(vdupq_n_s32(static_cast<i32>(c.low))),
        high(vdupq_n_s32(static_cast<i32>(c.high))) {}

  int32x4_t operator()(int64x2_t first, int64x2_t second) const {
    const int32x2_t half = vqmovn_s64(vshlq_s64(first, shift));
    const int32x4_t x = vqmovn_high_s64(half, vshlq_s64(second, shift));
    return vmaxq_s32(low, vminq_s32(high, x));
  }
};

// Sums of two rows; the first one becomes the result.
inline void add_rows(const Sum& s, i32* a, const i32* b, i64 count) {
  const WideResult result(s);
  const int32x4_t left = vdupq_n_s32(static_cast<i32>(s.left));
  const int32x4_t right = vdupq_n_s32(static_cast<i32>(s.right));
  i64 i = 0;
  for (; i + 4 <= count; i += 4) {
    const int32x4_t x = vld1q_s32(a + i), y = vld1q_s32(b + i);
    int64x2_t first = vmlal_s32(result.offset, vget_low_s32(x), vget_low_s32(left));
    int64x2_t second = vmlal_high_s32(result.offset, x, left);
    first = vmlal_s32(first, vget_low_s32(y), vget_low_s32(right));
    second = vmlal_high_s32(second, y, right);
    vst1q_s32(a + i, result(first, second));
  }
  for (; i < count; ++i) a[i] = add_requantized(a[i], b[i], s);
}

}  // namespace
}  // namespace iptq
