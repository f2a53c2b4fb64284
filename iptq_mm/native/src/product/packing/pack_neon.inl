// Keys and values as panels of bytes, for 64-bit ARM.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "product/panels.h"
#include "product/tiles/form_neon.inl"

namespace iptq {
namespace {

inline int8x16_t centred(uint8x16_t codes) {
  return vreinterpretq_s8_u8(veorq_u8(codes, vdupq_n_u8(0x80)));
}

#if defined(IPTQ_I8MM)

// All columns, two at a time, in the form of usmmla; first sums are -zero_point * sum.
inline i64 pack_vectors(const u8* from, i64 row, i64 columns, i64 depth, i64 zero_point,
                        const PanelLayout& panels, char* to, i32* start) {
  if (depth % 16) return 0;
  const int8x16_t ones = vdupq_n_s8(1);
  const int32x4_t factor = vdupq_n_s32(static_cast<i32>(-zero_point));
  for (i64 c = 0; c < columns; c += 2) {
    const i64 panel = c / (panels.width * kLanes);
    const i64 unit = panels.width_of(panel) * kLanes * 8;
    char* at = to + panels.at(panel, 8) + (c - panels.column(panel)) * 8;
    // Beyond the last column are zeros.
    const bool both = c + 1 < columns;
    const u8 *first = from + c * row, *second = both ? first + row : first;
    int32x4_t sums = vdupq_n_s32(0);
    for (i64 d = 0; d < depth; d += 16, at += 2 * unit) {
      const int8x16_t x = centred(vld1q_u8(first + d));
      int8x16_t y = centred(vld1q_u8(second + d));
      if (!both) y = vdupq_n_s8(0);
      const auto bytes = [](int8x16_t v) { return vreinterpretq_u8_s8(v); };
      const uint8x16_t low = joined_low(bytes(x), bytes(y));
      const uint8x16_t high = joined_high(bytes(x), bytes(y));
      vst1q_u8(reinterpret_cast<u8*>(at), low);
      vst1q_u8(reinterpret_cast<u8*>(at + unit), high);
      sums = vdotq_s32(sums, vreinterpretq_s8_u8(low), ones);
      sums = vdotq_s32(sums, vreinterpretq_s8_u8(high), ones);
    }
    sums = vmulq_s32(vpaddq_s32(sums, sums), factor);
    vst1_s32(start + c, vget_low_s32(sums));
  }
  return columns;
}

#elif defined(IPTQ_DOTPROD)

// Four columns at a time; those that are left are for others.
inline i64 pack_vectors(const u8* from, i64 row, i64 columns, i64 depth, i64 zero_point,
                        const PanelLayout& panels, char* to, i32* start) {
  if (depth % 16) return 0;
  const int8x16_t ones = vdupq_n_s8(1);
  const i32 factor = static_cast<i32>(-zero_point);
  i64 c = 0;
  for (; c + 4 <= columns; c += 4) {
    const i64 panel = c / (panels.width * kLanes);
    const i64 group = panels.width_of(panel) * kLanes * 4;
    char* at = to + panels.at(panel, 8) + (c - panels.column(panel)) * 4;
    int32x4_t sums = vdupq_n_s32(0);
    for (i64 d = 0; d < depth; d += 16, at += 4 * group) {
      int32x4_t x[4];
      for (int i = 0; i < 4; ++i)
        x[i] = vreinterpretq_s32_s8(centred(vld1q_u8(from + (c + i) * row + d)));
      const auto pairs = [](int32x4_t v) { return vreinterpretq_s64_s32(v); };
      const int64x2_t low[2] = {pairs(vzip1q_s32(x[0], x[1])), pairs(vzip1q_s32(x[2], x[3]))};
      const int64x2_t high[2] = {pairs(vzip2q_s32(x[0], x[1])), pairs(vzip2q_s32(x[2], x[3]))};
      const int64x2_t turned[4] = {vzip1q_s64(low[0], low[1]), vzip2q_s64(low[0], low[1]),
                                   vzip1q_s64(high[0], high[1]), vzip2q_s64(high[0], high[1])};
      for (int i = 0; i < 4; ++i) {
        const int8x16_t made = vreinterpretq_s8_s64(turned[i]);
        vst1q_s8(reinterpret_cast<i8*>(at + i * group), made);
        sums = vdotq_s32(sums, made, ones);
      }
    }
    vst1q_s32(start + c, vmulq_n_s32(sums, factor));
  }
  return c;
}

#else

inline i64 pack_vectors(const u8*, i64, i64, i64, i64, const PanelLayout&, char*, i32*) {
  return 0;
}

#endif

// Four depths of values, 16 columns at a time; returns how many columns that are.
inline i64 interleave_vectors(const u8* codes, i64 row, i64 columns, i8* to) {
  i64 c = 0;
  for (; c + kLanes <= columns; c += kLanes, to += 4 * kLanes) {
    int8x16_t x[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) x[i] = centred(vld1q_u8(codes + i * row + c));
    const auto words = [](int8x16_t v) { return vreinterpretq_s16_s8(v); };
    const int16x8_t a = words(vzip1q_s8(x[0], x[1])), b = words(vzip1q_s8(x[2], x[3]));
    const int16x8_t d = words(vzip2q_s8(x[0], x[1])), e = words(vzip2q_s8(x[2], x[3]));
    i16* at = reinterpret_cast<i16*>(to);
    vst1q_s16(at, vzip1q_s16(a, b));
    vst1q_s16(at + 8, vzip2q_s16(a, b));
    vst1q_s16(at + 16, vzip1q_s16(d, e));
    vst1q_s16(at + 24, vzip2q_s16(d, e));
  }
  return c;
}

// Any others: nothing by hand.
inline i64 interleave_vectors(const u8*, i64, i64, i16*) { return 0; }

}  // namespace
}  // namespace iptq
