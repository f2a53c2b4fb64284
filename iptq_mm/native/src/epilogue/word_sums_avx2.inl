// Sums of two numbers of 16 bits, with 32 bits throughout; see word_sums_avx512.inl.
#pragma once

#include "epilogue/halves_of_factors.inl"
#include "isa/vectors_avx2.inl"

namespace iptq {
namespace {

struct WordSum {
  __m256i low, high, low_offset, high_offset;
  __m128i shift;
  WordLimits limits;

  explicit WordSum(const Sum& s)
      : low(pair(Halves(s.left).low, Halves(s.right).low)),
        high(pair(Halves(s.left).high, Halves(s.right).high)),
        low_offset(numbers(s.offset & 0xFFFF)),
        high_offset(numbers(s.offset >> 16)),
        shift(_mm_cvtsi64_si128(s.shift - 16)),
        limits(s.low, s.high) {}

  static bool fits(const Sum& s) { return fits_halves(s); }

  __m256i operator()(__m256i a, __m256i b) const {
    const __m256i first = shifted(_mm256_unpacklo_epi16(a, b));
    const __m256i second = shifted(_mm256_unpackhi_epi16(a, b));
    return limits(_mm256_packs_epi32(first, second));
  }

 private:
  static __m256i pair(i64 left, i64 right) { return numbers(right << 16 | (left & 0xFFFF)); }

  __m256i shifted(__m256i pairs) const {
    const __m256i below = _mm256_add_epi32(low_offset, _mm256_madd_epi16(pairs, low));
    const __m256i above = _mm256_add_epi32(high_offset, _mm256_madd_epi16(pairs, high));
    return _mm256_sra_epi32(_mm256_add_epi32(above, _mm256_srai_epi32(below, 16)), shift);
  }
};

}  // namespace
}  // namespace iptq
