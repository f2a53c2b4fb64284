// Keys as panels of bytes, 16 of them by 16 depths at a time.
#pragma once

#include "product/panels.h"
#include "isa/vectors_avx512.inl"

namespace iptq {
namespace {

// Dword d of 16 rows in to[d], each row 16 bytes.
inline void turn_dwords(const u8* from, i64 row, __m512i* to) {
  __m512i rows[4];  // those of 4 rows' distance side by side
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const auto at = [&](i64 r) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + (i + 4 * r) * row));
    };
    rows[i] = _mm512_castsi128_si512(at(0));
    rows[i] = _mm512_inserti32x4(rows[i], at(1), 1);
    rows[i] = _mm512_inserti32x4(rows[i], at(2), 2);
    rows[i] = _mm512_inserti32x4(rows[i], at(3), 3);
  }
  const __m512i low01 = _mm512_unpacklo_epi32(rows[0], rows[1]);
  const __m512i low23 = _mm512_unpacklo_epi32(rows[2], rows[3]);
  const __m512i high01 = _mm512_unpackhi_epi32(rows[0], rows[1]);
  const __m512i high23 = _mm512_unpackhi_epi32(rows[2], rows[3]);
  to[0] = _mm512_unpacklo_epi64(low01, low23);
  to[1] = _mm512_unpackhi_epi64(low01, low23);
  to[2] = _mm512_unpacklo_epi64(high01, high23);
  to[3] = _mm512_unpackhi_epi64(high01, high23);
}

// 16 columns of a panel, whose groups are `distance` bytes apart; returns their sums.
inline __m512i pack_vector(const u8* from, i64 row, i64 depth, char* to, i64 distance) {
  const __m512i ones = _mm512_set1_epi8(1), sign = _mm512_set1_epi8(-128);
  __m512i sums = _mm512_setzero_si512();
  for (i64 d = 0; d < depth; d += 16) {
    __m512i dwords[4];
    turn_dwords(from + d, row, dwords);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i, to += distance) {
      const __m512i codes = _mm512_xor_si512(dwords[i], sign);
      sums = _mm512_dpbusd_epi32(sums, ones, codes);
      _mm512_storeu_si512(to, codes);
    }
  }
  return sums;
}

// Packs vectors of 16 whole columns; returns how many columns that are.
inline i64 pack_vectors(const u8* from, i64 row, i64 columns, i64 depth,
                        i64 zero_point, const PanelLayout& panels, char* to, i32* start) {
  if (depth % 16) return 0;
  const __m512i factor = _mm512_set1_epi32(static_cast<i32>(-zero_point));
  const i64 whole = columns / kLanes;
  for (i64 v = 0; v < whole; ++v) {
    const i64 panel = v / panels.width, width = panels.width_of(panel);
    char* at = to + panels.at(panel, 8) + (v - panel * panels.width) * 64;
    const __m512i sums =
        pack_vector(from + v * kLanes * row, row, depth, at, width * 64);
    _mm512_storeu_si512(start + v * kLanes, _mm512_mullo_epi32(sums, factor));
  }
  return whole * kLanes;
}

// Depths of values side by side: nothing by hand.
template <class Element>
inline i64 interleave_vectors(const u8*, i64, i64, Element*) {
  return 0;
}

}  // namespace
}  // namespace iptq
