// Rows of a LayerNorm, 16 and 8 numbers at a time.
#pragma once

#include "isa/vectors_avx2.inl"
#include "normalization/layer_norm_any.inl"

namespace iptq {
namespace {

// Of int16: sums of pairs, those of squares unsigned.
inline Moments moments_of(const i16* x, i64 size) {
  const __m256i ones = words(1);
  __m256i total = _mm256_setzero_si256(), squares = total;
  i64 c = 0;
  for (; c + kLanes <= size; c += kLanes) {
    const __m256i v = load(x + c), pairs = _mm256_madd_epi16(v, v);
    total = _mm256_add_epi32(total, _mm256_madd_epi16(v, ones));
    squares = added(squares, pairs);
  }
  Moments rest = any_moments_of(x + c, size - c);
  i32 totals[kVector];
  store(totals, total);
  for (i32 each : totals) rest.total += each;
  rest.squares += sum_of_lanes(squares);
  return rest;
}

// gamma * y / root + beta, to codes; y = x * factor - centre. With 32 bits for y and
// y / root; see NarrowNorm in layer_norm_avx512.inl.
struct NarrowNorm {
  __m256i factor, centre, above, below;
  __m128i shift;
  Limits limits;

  NarrowNorm(const LayerNorm& n, i64 factor, i64 centre, i64 reciprocal)
      : factor(numbers(factor)),
        centre(numbers(-centre)),
        shift(_mm_cvtsi64_si128(n.shift - 32)),
        limits(n.low, n.high) {
    const i64 inverse = reciprocal << (32 - n.drop);
    const i32 low = static_cast<i32>(inverse);
    below = _mm256_set1_epi64x(low);
    above = numbers((inverse - low) >> 32);
  }

  // Whether y has 32 bits, the inverse 62, and results are in upper halves.
  static bool suits(const LayerNorm& n, i64 factor, i64 centre, i64 reciprocal) {
    return n.drop >= 0 && n.drop <= 32 && n.shift >= 32 && n.shift < 64 &&
           factor <= INT16_MAX && centre == static_cast<i32>(centre) &&
           reciprocal >> (30 + n.drop) == 0;
  }

  // 8 codes.
  __m256i operator()(const i16* from, const i32* gamma, const i64* addend) const {
    const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    // The upper words of factors are 0.
    const __m256i y = _mm256_add_epi32(
        centre, _mm256_madd_epi16(_mm256_cvtepi16_epi32(narrow), factor));
    const __m256i rest =
        high_halves(_mm256_mul_epi32(y, below), _mm256_mul_epi32(odd_lanes(y), below));
    const __m256i t = _mm256_add_epi32(_mm256_mullo_epi32(y, above), rest);
    const __m256i first = load(addend), second = load(addend + 4), g = load(gamma);
    const auto ordered = [](__m256i x) { return _mm256_permute4x64_epi64(x, 0xD8); };
    const __m256i even = ordered(_mm256_unpacklo_epi64(first, second));
    const __m256i odd = ordered(_mm256_unpackhi_epi64(first, second));
    const __m256i sums = high_halves(
        _mm256_add_epi64(_mm256_mul_epi32(t, g), even),
        _mm256_add_epi64(_mm256_mul_epi32(odd_lanes(t), odd_lanes(g)), odd));
    return limits(_mm256_sra_epi32(sums, shift));
  }
};

inline void normalized(const LayerNorm& n, const i16* x, i64 factor, i64 centre,
                       i64 reciprocal, i64 target) {
  i64 c = 0;
  const bool bytes = n.out_type == kU8 && n.low >= 0 && n.high <= 255;
  const bool words = n.out_type == kI16 && WordLimits::hold(n.low, n.high);
  if ((bytes || words) && NarrowNorm::suits(n, factor, centre, reciprocal)) {
    const NarrowNorm norm(n, factor, centre, reciprocal);
    const i64 to = target * n.out_row;
    for (; c + kLanes <= n.size; c += kLanes) {
      const __m256i codes =
          joined(norm(x + c, n.multiplier + c, n.addend + c),
                 norm(x + c + kVector, n.multiplier + c + kVector, n.addend + c + kVector));
      if (bytes) store_bytes(codes, kLanes, static_cast<u8*>(n.out) + to + c);
      else store_words(codes, kLanes, static_cast<i16*>(n.out) + to + c);
    }
  }
  any_normalized(n, x, c, factor, centre, reciprocal, target);
}

// fqvit_layernorm: nothing by hand.
inline bool scales_quickly(const LayerNorm&) { return false; }
inline bool scaled_quickly(const LayerNorm&, const i16*, i64, i64, i64, i64, i64) {
  return false;
}

}  // namespace
}  // namespace iptq
