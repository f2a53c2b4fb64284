// interpolated_gelu of 32 numbers, in lanes of 16 bits; its results are not limited.
#pragma once

#include "isa/vectors_avx512.inl"

namespace iptq {
namespace {

struct LineVector {
  WordsTable table, slope;
  __m512i last, multiplier, end, fraction, factors, offset;
  WordLimits limits;
  bool limited;
  __m512i left, segment, shift;

  // Numbers are limited to `lowest` .. `highest` first; where all of 16 bits but the
  // least are allowed, and that is beyond the table, there is nothing to do.
  LineVector(const Interpolation& l, i64 lowest, i64 highest)
      : table(l.table),
        slope(l.slope),
        last(words(l.last)),
        multiplier(words(l.multiplier)),
        end(words((64 << l.fraction_bits) - 1)),
        fraction(words((1 << l.fraction_bits) - 1)),
        factors(_mm512_set1_epi32(
            static_cast<i32>(l.relu << 16 | 1 << (l.fraction_bits + l.up)))),
        offset(_mm512_set1_epi32(static_cast<i32>(l.offset))),
        limits(lowest, highest),
        limited(lowest > -INT16_MAX || highest < INT16_MAX || l.last > INT16_MAX),
        left(words(l.left)),
        segment(words(l.fraction_bits)),
        shift(_mm512_set1_epi32(static_cast<i32>(l.shift))) {}

  // max(x, 0) * relu + entry * 2**(fraction_bits + up) + slope * along, shifted: the
  // first two products at once.
  __m512i sum(__m512i pairs, __m512i line) const {
    __m512i total = _mm512_add_epi32(offset, line);
    return _mm512_srav_epi32(_mm512_dpwssd_epi32(total, pairs, factors), shift);
  }

  __m512i operator()(__m512i x) const {
    if (limited) x = limits(x);
    const __m512i size = _mm512_min_epu16(last, _mm512_abs_epi16(x));
    __m512i at = _mm512_mulhi_epu16(_mm512_sllv_epi16(size, left), multiplier);
    at = _mm512_min_epu16(at, end);
    const __m512i index = _mm512_srlv_epi16(at, segment);
    const __m512i entry = table(index), rise = slope(index);
    const __m512i along = _mm512_and_si512(at, fraction);
    const __m512i line_low = _mm512_mullo_epi16(rise, along);
    const __m512i line_high = _mm512_mulhi_epi16(rise, along);
    x = _mm512_max_epi16(x, _mm512_setzero_si512());
    const __m512i first = sum(_mm512_unpacklo_epi16(entry, x),
                              _mm512_unpacklo_epi16(line_low, line_high));
    const __m512i second = sum(_mm512_unpackhi_epi16(entry, x),
                               _mm512_unpackhi_epi16(line_low, line_high));
    return _mm512_packs_epi32(first, second);
  }
};

}  // namespace
}  // namespace iptq
