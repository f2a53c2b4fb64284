// Rows and panels as the strips of strips_neon.inl take them.
//
// Rows lie in units of 8 bytes: 8 depths of bytes, or 4 of int16. For each unit, two rows
// are side by side, pair after pair:
//
//   unit 0: | row 0: d0 .. d7 | row 1: d0 .. d7 | row 2: d0 .. d7 | row 3: ... |
//   unit 1: | row 0: d8 ..    | ...
//
// An odd row is its own partner. Bytes for sdot have signs, code - 128, and the panels'
// first sums allow for it.
//
// Panels for usmmla have groups of 8 depths instead of 4: the byte of w[d][c] is
//
//   (d / 8 * C + c) * 8 + d % 8                        instead of (1) of panels.h
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "product/panels.h"

namespace iptq {
namespace {

// Strips take rows in this form; panels of bytes in this form; first sums for rows of
// bytes less this.
constexpr bool kFormsRows = true;
#ifdef IPTQ_I8MM
constexpr bool kFormsPanels = true;
#else
constexpr bool kFormsPanels = false;
#endif
#ifdef IPTQ_DOTPROD
constexpr i64 kRowShift = 128;
#else
constexpr i64 kRowShift = 0;
#endif

inline i64 units_of(i64 bytes) { return (bytes + 7) / 8; }

// Bytes of `rows` rows in this form.
inline i64 formed_bytes(i64 rows, i64 bytes) {
  return (rows + 1) / 2 * 16 * units_of(bytes);
}

template <int Pairs>
inline void store_unit(const uint8x16_t* units, u8* to) {
#pragma GCC unroll 3
  for (int i = 0; i < Pairs; ++i) vst1q_u8(to + 16 * i, units[i]);
}

inline uint8x16_t joined_low(uint8x16_t a, uint8x16_t b) {
  return vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
}

inline uint8x16_t joined_high(uint8x16_t a, uint8x16_t b) {
  return vreinterpretq_u8_u64(vzip2q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
}

// One tap of 2 * Pairs rows: 16 bytes at a time.
template <int Pairs, bool Shift>
inline u8* form_tap(const u8* const* rows, i64 units, u8* to) {
  const uint8x16_t sign = vdupq_n_u8(Shift ? 0x80 : 0);
  for (i64 u = 0; u < units; u += 2) {
    uint8x16_t first[3], second[3];
#pragma GCC unroll 3
    for (int p = 0; p < Pairs; ++p) {
      uint8x16_t x = vld1q_u8(rows[2 * p] + 8 * u), y = vld1q_u8(rows[2 * p + 1] + 8 * u);
      if constexpr (Shift) {
        x = veorq_u8(x, sign);
        y = veorq_u8(y, sign);
      }
      first[p] = joined_low(x, y);
      second[p] = joined_high(x, y);
    }
    store_unit<Pairs>(first, to);
    to += 16 * Pairs;
    if (u + 1 == units) break;
    store_unit<Pairs>(second, to);
    to += 16 * Pairs;
  }
  return to;
}

// The same of bytes that become int16: 8 depths at a time, which are two units.
template <int Pairs>
inline u8* form_wide_tap(const u8* const* rows, i64 units, u8* to) {
  for (i64 u = 0; u < units; u += 2) {
    uint8x16_t first[3], second[3];
#pragma GCC unroll 3
    for (int p = 0; p < Pairs; ++p) {
      const auto x = vreinterpretq_u8_u16(vmovl_u8(vld1_u8(rows[2 * p] + 4 * u)));
      const auto y = vreinterpretq_u8_u16(vmovl_u8(vld1_u8(rows[2 * p + 1] + 4 * u)));
      first[p] = joined_low(x, y);
      second[p] = joined_high(x, y);
    }
    store_unit<Pairs>(first, to);
    to += 16 * Pairs;
    if (u + 1 == units) break;
    store_unit<Pairs>(second, to);
    to += 16 * Pairs;
  }
  return to;
}

// What rows of a tile are: bytes, shifted or not; bytes to be widened; words.
enum RowKind { kBytes, kWidened, kWords };

template <int Pairs>
void form_pairs(const char* const* rows, i64 taps, i64 count, i64 from, i64 bytes,
                RowKind kind, char* to) {
  u8* at = reinterpret_cast<u8*>(to);
  for (i64 t = 0; t < taps; ++t, rows += kTileRows) {
    const u8* row[2 * Pairs];
    for (i64 i = 0; i < 2 * Pairs; ++i)
      row[i] = reinterpret_cast<const u8*>(rows[i < count ? i : count - 1]) + from;
    if (kind == kWidened) at = form_wide_tap<Pairs>(row, units_of(2 * bytes), at);
    else if (kind == kBytes && kRowShift) at = form_tap<Pairs, true>(row, units_of(bytes), at);
    else at = form_tap<Pairs, false>(row, units_of(bytes), at);
  }
}

// `bytes` bytes of each row from `from` on.
inline void form_rows(const char* const* rows, i64 taps, i64 count, i64 from, i64 bytes,
                      RowKind kind, char* to) {
  if (count > 4) form_pairs<3>(rows, taps, count, from, bytes, kind, to);
  else if (count > 2) form_pairs<2>(rows, taps, count, from, bytes, kind, to);
  else form_pairs<1>(rows, taps, count, from, bytes, kind, to);
}

// Words without signs as bytes, the upper ones first, and then the lower ones.
template <int Pairs>
void form_split_pairs(const i16* rows, i64 distance, i64 count, i64 depth, char* to) {
  const i64 units = units_of(depth);
  u8* upper = reinterpret_cast<u8*>(to);
  u8* lower = upper + 16 * Pairs * units;
  const uint8x16_t sign = vdupq_n_u8(kRowShift ? 0x80 : 0);
  const u8* row[2 * Pairs];
  for (i64 i = 0; i < 2 * Pairs; ++i)
    row[i] = reinterpret_cast<const u8*>(rows + (i < count ? i : count - 1) * distance);
  for (i64 u = 0; u < units; u += 2) {
    uint8x16_t high[2][3], low[2][3];
#pragma GCC unroll 3
    for (int p = 0; p < Pairs; ++p) {
      uint8x16_t above[2], below[2];
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        const uint8x16x2_t x = vld1q_u8_x2(row[2 * p + i] + 16 * u);
        above[i] = vuzp2q_u8(x.val[0], x.val[1]);
        below[i] = vuzp1q_u8(x.val[0], x.val[1]);
        if (kRowShift) {
          above[i] = veorq_u8(above[i], sign);
          below[i] = veorq_u8(below[i], sign);
        }
      }
      high[0][p] = joined_low(above[0], above[1]);
      high[1][p] = joined_high(above[0], above[1]);
      low[0][p] = joined_low(below[0], below[1]);
      low[1][p] = joined_high(below[0], below[1]);
    }
    for (i64 i = 0; i < 2 && u + i < units; ++i) {
      store_unit<Pairs>(high[i], upper);
      store_unit<Pairs>(low[i], lower);
      upper += 16 * Pairs;
      lower += 16 * Pairs;
    }
  }
}

inline void form_split(const i16* rows, i64 distance, i64 count, i64 depth, char* to) {
  if (count > 4) form_split_pairs<3>(rows, distance, count, depth, to);
  else if (count > 2) form_split_pairs<2>(rows, distance, count, depth, to);
  else form_split_pairs<1>(rows, distance, count, depth, to);
}

// Two groups of 4 depths, `size` bytes each, become one of 8. Sizes are whole vectors of
// columns.
inline void pair_groups(const i8* from, const i8* second, i64 size, char* to) {
  for (i64 i = 0; i < size; i += 64, to += 128)
#pragma GCC unroll 4
    for (i64 j = 0; j < 64; j += 16) {
      const int32x4_t x = vreinterpretq_s32_s8(vld1q_s8(from + i + j));
      const int32x4_t y = vreinterpretq_s32_s8(vld1q_s8(second + i + j));
      // No braces among the arguments: what stores may be a macro.
      const int32x4x2_t both = {{x, y}};
      vst2q_s32(reinterpret_cast<i32*>(to + 2 * j), both);
    }
}

// Sums of each column's weights in groups of 4 depths; columns are whole vectors.
inline void sum_groups(const i8* weights, i64 groups, i64 columns, i32* sums) {
#ifdef IPTQ_DOTPROD
  const int8x16_t ones = vdupq_n_s8(1);
  for (i64 c = 0; c < columns; c += kLanes) {
    const i8* at = weights + 4 * c;
    int32x4_t first = vdupq_n_s32(0), second = first, third = first, fourth = first;
    for (i64 g = 0; g < groups; ++g, at += 4 * columns) {
      const int8x16x4_t x = vld1q_s8_x4(at);
      first = vdotq_s32(first, x.val[0], ones);
      second = vdotq_s32(second, x.val[1], ones);
      third = vdotq_s32(third, x.val[2], ones);
      fourth = vdotq_s32(fourth, x.val[3], ones);
    }
    const int32x4x4_t made = {{first, second, third, fourth}};
    vst1q_s32_x4(sums + c, made);
  }
#endif
}

// Groups of 4 depths become two groups of pairs of int16; columns are whole vectors.
inline bool widen_quickly(const i8* from, i64 columns, i16* to) {
  for (i64 c = 0; c < columns; c += 4) {
    const int8x16_t bytes = vld1q_s8(from + 4 * c);
    const int32x4_t low = vreinterpretq_s32_s16(vmovl_s8(vget_low_s8(bytes)));
    const int32x4_t high = vreinterpretq_s32_s16(vmovl_high_s8(bytes));
    vst1q_s16(to + 2 * c, vreinterpretq_s16_s32(vuzp1q_s32(low, high)));
    vst1q_s16(to + 2 * (columns + c), vreinterpretq_s16_s32(vuzp2q_s32(low, high)));
  }
  return true;
}

// Packed panels of bytes, in place.
inline void form_panels(const PanelLayout& panels, char* to) {
  if constexpr (!kFormsPanels) return;
  for (i64 p = 0; p < panels.count; ++p) {
    const i64 size = panels.width_of(p) * kLanes * 4;
    for (i64 g = 0; g < panels.groups; g += 2, to += 2 * size) {
      i8 groups[2 * 4 * kTileColumns];
      std::memcpy(groups, to, 2 * size);
      pair_groups(groups, groups + size, size, to);
    }
  }
}

}  // namespace
}  // namespace iptq
