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

// gamma * y / root + beta, to codes, from a column on; y = x * factor - centre. Any
// shifts and reciprocal.
inline void normalized_any(const LayerNorm& n, const i16* x, i64 column, i64 factor,
                           i64 centre, i64 reciprocal, i64 target) {
  const __m512i size = _mm512_set1_epi64(factor), sum = _mm512_set1_epi64(centre);
  const __m512i inverse = _mm512_set1_epi64(reciprocal);
  const __m512i low = _mm512_set1_epi64(n.low), high = _mm512_set1_epi64(n.high);
  const __m512i drop = _mm512_set1_epi64(n.drop), shift = _mm512_set1_epi64(n.shift);
  for (i64 c = column; c < n.size; c += 8) {
    const i64 rest = n.size - c;
    const __mmask8 mask = rest >= 8 ? 0xFF : static_cast<__mmask8>((1u << rest) - 1);
    __m512i v = _mm512_cvtepi16_epi64(_mm_maskz_loadu_epi16(mask, x + c));
    v = _mm512_sub_epi64(_mm512_mul_epi32(v, size), sum);
    v = _mm512_srav_epi64(_mm512_mullo_epi64(v, inverse), drop);
    const __m256i gamma = _mm256_maskz_loadu_epi32(mask, n.multiplier + c);
    v = _mm512_mul_epi32(v, _mm512_cvtepi32_epi64(gamma));
    v = _mm512_add_epi64(v, _mm512_maskz_loadu_epi64(mask, n.addend + c));
    v = _mm512_srav_epi64(v, shift);
    v = _mm512_max_epi64(low, _mm512_min_epi64(high, v));
    const i64 at = target * n.out_row + c;
    if (n.out_type == kU8)
      _mm512_mask_cvtepi64_storeu_epi8(static_cast<u8*>(n.out) + at, mask, v);
    else
      _mm512_mask_cvtepi64_storeu_epi16(static_cast<i16*>(n.out) + at, mask, v);
  }
}

// The same in lanes of 32 bits where that gives the same. With the reciprocal
// r = inverse * 2**(drop - 32), inverse = above * 2**32 + below, below signed:
//   (y * r) >> drop = y * above + ((y * below) >> 32)
struct NarrowNorm {
  __m512i factor, centre, above, below, shift, even, odd;
  Limits limits;

  NarrowNorm(const LayerNorm& n, i64 factor, i64 centre, i64 reciprocal)
      : factor(_mm512_set1_epi32(static_cast<i32>(factor))),
        centre(_mm512_set1_epi32(static_cast<i32>(-centre))),
        shift(_mm512_set1_epi32(static_cast<i32>(n.shift - 32))),
        even(_mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14)),
        odd(_mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15)),
        limits(n.low, n.high) {
    const i64 inverse = reciprocal << (32 - n.drop);
    const i32 low = static_cast<i32>(inverse);
    below = _mm512_set1_epi64(low);
    above = _mm512_set1_epi32(static_cast<i32>((inverse - low) >> 32));
  }

  // Whether y has 32 bits, the inverse 62, and results are in upper halves.
  static bool suits(const LayerNorm& n, i64 factor, i64 centre, i64 reciprocal) {
    return n.drop >= 0 && n.drop <= 32 && n.shift >= 32 && n.shift < 64 &&
           factor <= INT16_MAX && centre == static_cast<i32>(centre) &&
           reciprocal >> (30 + n.drop) == 0;
  }

  // 16 codes.
  __m512i operator()(__m512i x, const i32* gamma, const i64* addend) const {
    const __m512i y = _mm512_dpwssd_epi32(centre, x, factor);
    const __m512i rest =
        high_halves(_mm512_mul_epi32(y, below), _mm512_mul_epi32(odd_lanes(y), below));
    const __m512i t = _mm512_add_epi32(_mm512_mullo_epi32(y, above), rest);
    const __m512i first = load(addend), second = load(addend + 8);
    const __m512i g = load(gamma);
    const __m512i sums =
        high_halves(_mm512_add_epi64(_mm512_mul_epi32(t, g),
                                     _mm512_permutex2var_epi64(first, even, second)),
                    _mm512_add_epi64(_mm512_mul_epi32(odd_lanes(t), odd_lanes(g)),
                                     _mm512_permutex2var_epi64(first, odd, second)));
    return limits(_mm512_srav_epi32(sums, shift));
  }
};

// Whole vectors of a row; returns how many columns these are.
inline i64 normalized_narrow(const LayerNorm& n, const i16* x, const NarrowNorm& norm,
                             i64 target) {
  i64 c = 0;
  for (; c + kLanes <= n.size; c += kLanes) {
    const __m256i* from = reinterpret_cast<const __m256i*>(x + c);
    const __m512i codes = norm(_mm512_cvtepi16_epi32(_mm256_loadu_si256(from)),
                               n.multiplier + c, n.addend + c);
    store_vector(codes, 0xFFFF, n.out, n.out_type, target * n.out_row + c);
  }
  return c;
}

inline void normalized(const LayerNorm& n, const i16* x, i64 factor, i64 centre,
                       i64 reciprocal, i64 target) {
  i64 done = 0;
  if (NarrowNorm::suits(n, factor, centre, reciprocal))
    done = normalized_narrow(n, x, NarrowNorm(n, factor, centre, reciprocal), target);
  normalized_any(n, x, done, factor, centre, reciprocal, target);
}

// fqvit_layernorm: nothing by hand.
inline bool scales_quickly(const LayerNorm&) { return false; }
inline bool scaled_quickly(const LayerNorm&, const i16*, i64, i64, i64, i64, i64) {
  return false;
}

}  // namespace
}  // namespace iptq
