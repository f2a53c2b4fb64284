// Vectors of 64-bit ARM: requantizations, limits, tables, stores.
//
// Quick forms use that a rounded shift may be done in two steps, and that sqdmulh is the
// first of them, floor(x * y / 2**31):
//
//   (x * y + 2**(s - 1)) >> s  =  srshl(sqdmulh(x, y), 31 - s)        s > 31   (1)
//
// and that addhn adds numbers of 64 bits and keeps the upper halves.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "isa/kernels.h"

namespace iptq {
namespace {

inline int16x8_t joined(int32x4_t low, int32x4_t high) {
  return vqmovn_high_s32(vqmovn_s32(low), high);
}

inline uint8x16_t joined(int16x8_t low, int16x8_t high) {
  return vqmovun_high_s16(vqmovun_s16(low), high);
}

struct WordLimits {
  int16x8_t low, high;

  WordLimits(i64 low, i64 high)
      : low(vdupq_n_s16(static_cast<i16>(low < INT16_MIN ? INT16_MIN : low))),
        high(vdupq_n_s16(static_cast<i16>(high > INT16_MAX ? INT16_MAX : high))) {}

  int16x8_t operator()(int16x8_t x) const { return vmaxq_s16(low, vminq_s16(high, x)); }
};

struct ByteLimits {
  uint8x16_t low, high;
  bool needed;

  ByteLimits(i64 low, i64 high)
      : low(vdupq_n_u8(static_cast<u8>(low))),
        high(vdupq_n_u8(static_cast<u8>(high))),
        needed(low > 0 || high < 255) {}

  uint8x16_t operator()(uint8x16_t x) const { return needed ? always(x) : x; }

  uint8x16_t always(uint8x16_t x) const { return vmaxq_u8(low, vminq_u8(high, x)); }
};

inline bool within_bytes(i64 low, i64 high) { return low >= 0 && high <= 255; }

inline bool within_words(i64 low, i64 high) { return low >= INT16_MIN && high <= INT16_MAX; }

// All bits of the first `count` lanes, of which there may be more or less.
inline uint16x8_t first_words(i64 count) {
  static const i16 lanes[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  return vcgtq_s16(vdupq_n_s16(static_cast<i16>(count)), vld1q_s16(lanes));
}

// The first `count` of 16 elements of two registers, or of one, to memory.
template <class T>
inline void store_first(const T* from, T* to, i64 count) {
  std::memcpy(to, from, static_cast<u64>(count) * sizeof(T));
}

inline void store_bytes(uint8x16_t x, u8* to, i64 count) {
  if (count >= kLanes) return vst1q_u8(to, x);
  u8 all[kLanes];
  vst1q_u8(all, x);
  store_first(all, to, count);
}

// Two registers; compilers join both stores, and copy registers for vst1q_s16_x2.
inline void store_pair(int16x8_t low, int16x8_t high, i16* to) {
  vst1q_s16(to, low);
  vst1q_s16(to + 8, high);
}

// How QuickScalar shifts: sums to the left before, products to the right after, or neither.
enum Shifts { kLeft, kRight, kNone };

// One requantization of all columns, by (1) where its constants allow that. `largest` is
// what the sums are at most in magnitude.
struct QuickScalar {
  bool fits, adds;  // whether by (1); whether there is a zero point
  Shifts shifts;
  int32x4_t multiplier, by;
  int16x8_t zero_point;

  QuickScalar(const Requantization& r, i64 largest = INT32_MAX) : fits(false) {
    if (r.shift < 1 || r.shift > 62 || r.multiplier < 0 || r.multiplier > INT32_MAX) return;
    const i64 rest = r.offset - (i64{1} << (r.shift - 1)), up = 31 - r.shift;
    const i64 zero = rest >> r.shift;
    if (zero << r.shift != rest || !within_words(zero, zero)) return;
    // Words are saturated before the zero point is added.
    if (!within_words(r.low - zero, r.high - zero)) return;
    if (up > 0 && (up > 30 || largest > (INT32_MAX >> up))) return;
    fits = true;
    shifts = up > 0 ? kLeft : up < 0 ? kRight : kNone;
    multiplier = vdupq_n_s32(static_cast<i32>(r.multiplier));
    by = vdupq_n_s32(static_cast<i32>(up));
    adds = zero != 0;
    zero_point = vdupq_n_s16(static_cast<i16>(zero));
  }

  template <Shifts S>
  int32x4_t wide(int32x4_t x) const {
    if (S == kRight) return vrshlq_s32(vqdmulhq_s32(x, multiplier), by);
    return vqrdmulhq_s32(S == kLeft ? vshlq_s32(x, by) : x, multiplier);  // (1), s = 31
  }

  // Words, which saturate; and without the zero point.
  template <Shifts S>
  int16x8_t operator()(int32x4_t low, int32x4_t high) const {
    return vqaddq_s16(integers<S>(low, high), zero_point);
  }

  template <Shifts S>
  int16x8_t integers(int32x4_t low, int32x4_t high) const {
    return joined(wide<S>(low), wide<S>(high));
  }
};

// 256 bytes as a function of a byte.
struct ByteTable {
  uint8x16x4_t part[4];

  explicit ByteTable(const void* table) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) part[i] = vld1q_u8_x4(static_cast<const u8*>(table) + 64 * i);
  }

  uint8x16_t operator()(uint8x16_t index) const {
    const uint8x16_t step = vdupq_n_u8(64);
    uint8x16_t made = vqtbl4q_u8(part[0], index);
#pragma GCC unroll 3
    for (int i = 1; i < 4; ++i) {
      index = vsubq_u8(index, step);
      made = vqtbx4q_u8(made, part[i], index);
    }
    return made;
  }
};

// 64 words, or 32, as a function of a byte: their bytes apart.
struct WordTable {
  uint8x16x4_t low, high;

  WordTable() = default;

  WordTable(const void* words, i64 count) {
    const u8* from = static_cast<const u8*>(words);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const uint8x16x2_t two = vld2q_u8(from + (32 * i < 2 * count ? 32 * i : 0));
      low.val[i] = two.val[0];
      high.val[i] = two.val[1];
    }
  }

  void operator()(uint8x16_t index, uint16x8_t& first, uint16x8_t& second) const {
    const uint8x16_t below = vqtbl4q_u8(low, index), above = vqtbl4q_u8(high, index);
    first = vreinterpretq_u16_u8(vzip1q_u8(below, above));
    second = vreinterpretq_u16_u8(vzip2q_u8(below, above));
  }
};

}  // namespace
}  // namespace iptq
