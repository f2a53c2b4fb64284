// interpolated_gelu of 16 numbers, in lanes of 16 bits; see line_avx512.inl. Its results
// are not limited.
#pragma once

#include "isa/vectors_neon.inl"

namespace iptq {
namespace {

struct LineTables {
  WordTable table, slope;
};

struct LineVector {
  enum { kFactor, kRelu, kUnit };  // lanes of `factors`

  const LineTables& tables;
  int16x8_t factors, left, down;
  uint16x8_t end, fraction;
  int8x16_t segment;
  int32x4_t offset;

  // Whether it can be computed in this way, of numbers of 16 bits: beyond the last one, all
  // are at the end of the table.
  static bool fits(const Interpolation& l) {
    if (!l.table || l.codes || !within_bytes(l.low, l.high)) return false;
    return l.left >= 1 && l.left < 16 && l.last >= 0 && l.last << (l.left - 1) <= INT16_MAX &&
           l.multiplier >= 0 && l.multiplier <= UINT16_MAX && l.fraction_bits >= 8 &&
           l.last * l.multiplier >> (16 - l.left) >= (i64{64} << l.fraction_bits) - 1 &&
           l.fraction_bits + l.up < 15 && within_words(l.relu, l.relu) && l.shift >= 16 &&
           l.shift < 32;
  }

  LineVector(const Interpolation& l, const LineTables& tables)
      : tables(tables),
        factors(words(0)),
        left(words(l.left - 1)),
        down(words(16 - l.shift)),
        end(vreinterpretq_u16_s16(words((64 << l.fraction_bits) - 1))),
        fraction(vreinterpretq_u16_s16(words((1 << l.fraction_bits) - 1))),
        segment(vdupq_n_s8(static_cast<i8>(8 - l.fraction_bits))),
        offset(vdupq_n_s32(static_cast<i32>(l.offset))) {
    factors = vsetq_lane_s16(static_cast<i16>(l.multiplier - (1 << 15)), factors, kFactor);
    factors = vsetq_lane_s16(static_cast<i16>(l.relu), factors, kRelu);
    factors = vsetq_lane_s16(static_cast<i16>(1 << (l.fraction_bits + l.up)), factors, kUnit);
  }

  // The position in the table. Large numbers saturate. sqdmulh doubles, as the last step of
  // the shift does; its factor is 2**15 less, which is made up for.
  uint16x8_t position(int16x8_t x) const {
    const int16x8_t moved = vqshlq_s16(vqabsq_s16(x), left);
    const int16x8_t at = vaddq_s16(moved, vqdmulhq_laneq_s16(moved, factors, kFactor));
    return vminq_u16(vreinterpretq_u16_s16(at), end);
  }

  // The offset is added to the sum where its upper half is taken.
  int16x8_t sum(int16x8_t x, uint16x8_t entries, uint16x8_t rises, uint16x8_t at) const {
    const int16x8_t entry = vreinterpretq_s16_u16(entries);
    const int16x8_t rise = vreinterpretq_s16_u16(rises);
    const int16x8_t along = vreinterpretq_s16_u16(vandq_u16(at, fraction));
    x = vmaxq_s16(x, vdupq_n_s16(0));
    int32x4_t low = vmull_laneq_s16(vget_low_s16(x), factors, kRelu);
    int32x4_t high = vmull_high_laneq_s16(x, factors, kRelu);
    low = vmlal_laneq_s16(low, vget_low_s16(entry), factors, kUnit);
    high = vmlal_high_laneq_s16(high, entry, factors, kUnit);
    low = vmlal_s16(low, vget_low_s16(rise), vget_low_s16(along));
    high = vmlal_high_s16(high, rise, along);
    return vshlq_s16(vaddhn_high_s32(vaddhn_s32(low, offset), high, offset), down);
  }

  __attribute__((always_inline)) uint8x16_t operator()(int16x8_t a, int16x8_t b) const {
    const uint16x8_t first = position(a), second = position(b);
    const uint8x16_t index = vshlq_u8(
        vuzp2q_u8(vreinterpretq_u8_u16(first), vreinterpretq_u8_u16(second)), segment);
    uint16x8_t entry[2], rise[2];
    tables.table(index, entry[0], entry[1]);
    tables.slope(index, rise[0], rise[1]);
    return joined(sum(a, entry[0], rise[0], first), sum(b, entry[1], rise[1], second));
  }

 private:
  static int16x8_t words(i64 value) { return vdupq_n_s16(static_cast<i16>(value)); }
};

}  // namespace
}  // namespace iptq
