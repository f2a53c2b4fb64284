// interpolated_gelu of 16 numbers, in lanes of 16 bits; see line_avx512.inl. Its results
// are not limited.
#pragma once

#include "isa/tables_avx2.inl"
#include "isa/vectors_avx2.inl"

namespace iptq {
namespace {

struct LineVector {
  TwoTables tables;  // entries and slopes
  __m256i last, multiplier, end, fraction, factors, offset;
  __m128i left, segment, shift;
  WordLimits limits;

  // Numbers are limited to `lowest` .. `highest` first.
  LineVector(const Interpolation& l, i64 lowest, i64 highest)
      : tables(static_cast<const i16*>(l.table), static_cast<const i16*>(l.slope)),
        last(words(l.last)),
        multiplier(words(l.multiplier)),
        end(words((64 << l.fraction_bits) - 1)),
        fraction(words((1 << l.fraction_bits) - 1)),
        factors(numbers(l.relu << 16 | 1 << (l.fraction_bits + l.up))),
        offset(numbers(l.offset)),
        left(_mm_cvtsi64_si128(l.left)),
        segment(_mm_cvtsi64_si128(l.fraction_bits)),
        shift(_mm_cvtsi64_si128(l.shift)),
        limits(lowest, highest) {}

  // Whether there is one, and nothing is looked up afterwards.
  static bool fits(const Interpolation& l) { return l.table && !l.codes; }

  __m256i operator()(__m256i x) const {
    x = limits(x);
    const __m256i size = _mm256_min_epu16(last, _mm256_abs_epi16(x));
    __m256i at = _mm256_mulhi_epu16(_mm256_sll_epi16(size, left), multiplier);
    at = _mm256_min_epu16(at, end);
    const __m256i index = _mm256_srl_epi16(at, segment);
    const __m256i along = _mm256_and_si256(at, fraction);
    __m256i entry, rise;
    tables(index, entry, rise);
    const __m256i line_low = _mm256_mullo_epi16(rise, along);
    const __m256i line_high = _mm256_mulhi_epi16(rise, along);
    x = _mm256_max_epi16(x, _mm256_setzero_si256());
    const __m256i first = sum(_mm256_unpacklo_epi16(entry, x),
                              _mm256_unpacklo_epi16(line_low, line_high));
    const __m256i second = sum(_mm256_unpackhi_epi16(entry, x),
                               _mm256_unpackhi_epi16(line_low, line_high));
    return _mm256_packs_epi32(first, second);
  }

 private:
  __m256i sum(__m256i pairs, __m256i line) const {
    const __m256i total = _mm256_add_epi32(_mm256_add_epi32(offset, line),
                                           _mm256_madd_epi16(pairs, factors));
    return _mm256_sra_epi32(total, shift);
  }
};

}  // namespace
}  // namespace iptq
