// Sums of two numbers of 16 bits, with 32 bits throughout; see word_sums_avx512.inl. The
// offset is half of the divisor, and so a rounding of the shift.
#pragma once

#include "epilogue/halves_of_factors.inl"
#include "isa/vectors_neon.inl"

namespace iptq {
namespace {

struct WordSum {
  int16x8_t left_low, left_high, right_low, right_high;
  int32x4_t shift;
  WordLimits limits;

  explicit WordSum(const Sum& s)
      : left_low(words(Halves(s.left).low)),
        left_high(words(Halves(s.left).high)),
        right_low(words(Halves(s.right).low)),
        right_high(words(Halves(s.right).high)),
        shift(vdupq_n_s32(static_cast<i32>(16 - s.shift))),
        limits(s.low, s.high) {}

  static bool fits(const Sum& s) {
    return s.shift > 16 && s.offset == i64{1} << (s.shift - 1) && fits_halves(s);
  }

  int16x8_t operator()(int16x8_t a, int16x8_t b) const {
    const auto low = [](int16x8_t x) { return vget_low_s16(x); };
    int32x4_t below = vmull_s16(low(a), low(left_low));
    below = vmlal_s16(below, low(b), low(right_low));
    int32x4_t above = vmull_s16(low(a), low(left_high));
    above = vmlal_s16(above, low(b), low(right_high));
    const int32x4_t first = vrshlq_s32(vsraq_n_s32(above, below, 16), shift);
    below = vmlal_high_s16(vmull_high_s16(a, left_low), b, right_low);
    above = vmlal_high_s16(vmull_high_s16(a, left_high), b, right_high);
    return limits(joined(first, vrshlq_s32(vsraq_n_s32(above, below, 16), shift)));
  }

 private:
  static int16x8_t words(i64 value) { return vdupq_n_s16(static_cast<i16>(value)); }
};

}  // namespace
}  // namespace iptq
