// Sums of two numbers of 16 bits, with 32 bits throughout.
#pragma once

#include "epilogue/halves_of_factors.inl"
#include "isa/vectors_avx512.inl"

namespace iptq {
namespace {

// A sum of two words, with 32 bits throughout: factors are halves, and what those below
// add up to is carried to those above.
struct WordSum {
  __m512i low, high, low_offset, high_offset, shift;
  WordLimits limits;

  explicit WordSum(const Sum& s)
      : low(pair(Halves(s.left).low, Halves(s.right).low)),
        high(pair(Halves(s.left).high, Halves(s.right).high)),
        low_offset(_mm512_set1_epi32(static_cast<i32>(s.offset & 0xFFFF))),
        high_offset(_mm512_set1_epi32(static_cast<i32>(s.offset >> 16))),
        shift(_mm512_set1_epi32(static_cast<i32>(s.shift - 16))),
        limits(s.low, s.high) {}

  static bool fits(const Sum& s) { return fits_halves(s); }

  __m512i operator()(__m512i a, __m512i b) const {
    const __m512i first = shifted(_mm512_unpacklo_epi16(a, b));
    const __m512i second = shifted(_mm512_unpackhi_epi16(a, b));
    return limits(_mm512_packs_epi32(first, second));
  }

 private:
  static __m512i pair(i64 left, i64 right) {
    return _mm512_set1_epi32(static_cast<i32>(right << 16 | (left & 0xFFFF)));
  }

  __m512i shifted(__m512i pairs) const {
    const __m512i below = _mm512_dpwssd_epi32(low_offset, pairs, low);
    const __m512i above = _mm512_dpwssd_epi32(high_offset, pairs, high);
    return _mm512_srav_epi32(_mm512_add_epi32(above, _mm512_srai_epi32(below, 16)), shift);
  }
};

}  // namespace
}  // namespace iptq
