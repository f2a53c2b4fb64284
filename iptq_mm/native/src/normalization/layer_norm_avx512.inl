// Rows of a LayerNorm, 32 and 8 numbers at a time.
#pragma once

#include "isa/vectors_avx512.inl"

namespace iptq {
namespace {

struct Moments {
  i64 total, squares;
};

// Of int16: sums of pairs, those of squares unsigned.
inline Moments moments_of(const i16* x, i64 size) {
  const __m512i ones = _mm512_set1_epi16(1), low = _mm512_set1_epi64(0xFFFFFFFF);
  __m512i total = _mm512_setzero_si512(), even = total, odd = total;
  for (i64 c = 0; c < size; c += 2 * kLanes) {
    const i64 rest = size - c;
    const __mmask32 mask = rest >= 32 ? ~0u : (1u << rest) - 1;
    const __m512i v = _mm512_maskz_loadu_epi16(mask, x + c);
    const __m512i squares = _mm512_madd_epi16(v, v);
    total = _mm512_add_epi32(total, _mm512_madd_epi16(v, ones));
    even = _mm512_add_epi64(even, _mm512_and_si512(squares, low));
    odd = _mm512_add_epi64(odd, odd_lanes(squares));
  }
  return {_mm512_reduce_add_epi32(total),
          _mm512_reduce_add_epi64(_mm512_add_epi64(even, odd))};
}

// gamma * y / root + beta, to codes; y = x * factor - centre.
inline void normalized(const LayerNorm& n, const i16* x, i64 factor, i64 centre,
                       i64 reciprocal, i64 target) {
  const __m512i size = _mm512_set1_epi64(factor), sum = _mm512_set1_epi64(centre);
  const __m512i inverse = _mm512_set1_epi64(reciprocal);
  const __m512i low = _mm512_set1_epi64(n.low), high = _mm512_set1_epi64(n.high);
  const __m128i drop = _mm_cvtsi64_si128(n.drop), shift = _mm_cvtsi64_si128(n.shift);
  for (i64 c = 0; c < n.size; c += 8) {
    const i64 rest = n.size - c;
    const __mmask8 mask = rest >= 8 ? 0xFF : static_cast<__mmask8>((1u << rest) - 1);
    __m512i v = _mm512_cvtepi16_epi64(_mm_maskz_loadu_epi16(mask, x + c));
    v = _mm512_sub_epi64(_mm512_mul_epi32(v, size), sum);
    v = _mm512_sra_epi64(_mm512_mullo_epi64(v, inverse), drop);
    const __m256i gamma = _mm256_maskz_loadu_epi32(mask, n.multiplier + c);
    v = _mm512_mul_epi32(v, _mm512_cvtepi32_epi64(gamma));
    v = _mm512_add_epi64(v, _mm512_maskz_loadu_epi64(mask, n.addend + c));
    v = _mm512_sra_epi64(v, shift);
    v = _mm512_max_epi64(low, _mm512_min_epi64(high, v));
    const i64 at = target * n.out_row + c;
    if (n.out_type == kU8)
      _mm512_mask_cvtepi64_storeu_epi8(static_cast<u8*>(n.out) + at, mask, v);
    else
      _mm512_mask_cvtepi64_storeu_epi16(static_cast<i16*>(n.out) + at, mask, v);
  }
}

// fqvit_layernorm: nothing by hand.
inline bool scales_quickly(const LayerNorm&) { return false; }
inline bool scaled_quickly(const LayerNorm&, const i16*, i64, i64, i64, i64, i64) {
  return false;
}

}  // namespace
}  // namespace iptq
