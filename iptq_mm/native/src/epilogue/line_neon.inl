// interpolated_gelu of 16 numbers, in lanes of 16 bits; see lines_avx512.inl.
#pragma once

#include "isa/vectors_neon.inl"

namespace iptq {
namespace {

struct LineVector {
  WordTable table, slope;
  uint16x8_t last, end, fraction;
  int16x8_t left, factor, down, relu, unit, zero_point;
  int32x4_t shift;
  bool adds;  // whether the factor is 2**16 more
  ByteLimits limits;

  // Whether it can be computed in this way, of numbers of 16 bits.
  static bool fits(const Interpolation& l) {
    if (!l.table || l.codes || !within_bytes(l.low, l.high)) return false;
    if (l.shift < 1 || l.left < 1 || l.last < 0 || l.last << (l.left - 1) > INT16_MAX)
      return false;
    const i64 rest = l.offset - (i64{1} << (l.shift - 1)), zero = rest >> l.shift;
    return zero << l.shift == rest && within_words(zero, zero) &&
           l.fraction_bits + l.up < 15 && within_words(l.relu, l.relu) &&
           l.multiplier >= 0 && l.multiplier <= UINT16_MAX;
  }

  explicit LineVector(const Interpolation& l)
      : table(l.table, 64),
        slope(l.slope, 64),
        last(vdupq_n_u16(static_cast<u16>(l.last))),
        end(vdupq_n_u16(static_cast<u16>((64 << l.fraction_bits) - 1))),
        fraction(vdupq_n_u16(static_cast<u16>((1 << l.fraction_bits) - 1))),
        left(vdupq_n_s16(static_cast<i16>(l.left - 1))),
        factor(vdupq_n_s16(static_cast<i16>(l.multiplier))),
        down(vdupq_n_s16(static_cast<i16>(-l.fraction_bits))),
        relu(vdupq_n_s16(static_cast<i16>(l.relu))),
        unit(vdupq_n_s16(static_cast<i16>(1 << (l.fraction_bits + l.up)))),
        zero_point(vdupq_n_s16(
            static_cast<i16>((l.offset - (i64{1} << (l.shift - 1))) >> l.shift))),
        shift(vdupq_n_s32(static_cast<i32>(-l.shift))),
        adds(l.multiplier > INT16_MAX),
        limits(l.low, l.high) {}

  // The position in the table. sqdmulh doubles, as the last step of the shift does; of a
  // factor that is negative as a word, 2**16 is made up for.
  uint16x8_t position(int16x8_t x) const {
    const uint16x8_t size = vminq_u16(last, vreinterpretq_u16_s16(vabsq_s16(x)));
    const int16x8_t moved = vreinterpretq_s16_u16(vshlq_u16(size, left));
    uint16x8_t at = vreinterpretq_u16_s16(vqdmulhq_s16(moved, factor));
    if (adds) {
      const uint16x8_t half = vreinterpretq_u16_s16(moved);
      at = vaddq_u16(vaddq_u16(at, half), half);
    }
    return vminq_u16(at, end);
  }

  // The sum before its offset, whose zero point is added at the end.
  int16x8_t sum(int16x8_t x, int16x8_t entry, int16x8_t rise, uint16x8_t at) const {
    const int16x8_t along = vreinterpretq_s16_u16(vandq_u16(at, fraction));
    x = vmaxq_s16(x, vdupq_n_s16(0));
    int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(relu));
    int32x4_t high = vmull_high_s16(x, relu);
    low = vmlal_s16(low, vget_low_s16(entry), vget_low_s16(unit));
    high = vmlal_high_s16(high, entry, unit);
    low = vmlal_s16(low, vget_low_s16(rise), vget_low_s16(along));
    high = vmlal_high_s16(high, rise, along);
    return vqaddq_s16(joined(vrshlq_s32(low, shift), vrshlq_s32(high, shift)), zero_point);
  }

  __attribute__((always_inline)) uint8x16_t operator()(int16x8_t a, int16x8_t b) const {
    const uint16x8_t first = position(a), second = position(b);
    const auto index = [&](uint16x8_t at) {
      return vreinterpretq_u8_u16(vshlq_u16(at, down));
    };
    const uint8x16_t both = vuzp1q_u8(index(first), index(second));
    uint16x8_t entry[2], rise[2];
    table(both, entry[0], entry[1]);
    slope(both, rise[0], rise[1]);
    const auto words = [](uint16x8_t x) { return vreinterpretq_s16_u16(x); };
    return limits(joined(sum(a, words(entry[0]), words(rise[0]), first),
                         sum(b, words(entry[1]), words(rise[1]), second)));
  }
};

}  // namespace
}  // namespace iptq
