// Vectors of 8 results of 32 bits, and of 16 words: requantization, limits, stores.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "isa/kernels.h"

namespace iptq {
namespace {

constexpr i64 kVector = 8;  // results of 32 bits
static_assert(kLanes == 2 * kVector, "16 columns are two vectors");

inline __m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

inline void store(void* to, __m256i x) { _mm256_storeu_si256(static_cast<__m256i*>(to), x); }

inline __m256i odd_lanes(__m256i x) { return _mm256_srli_epi64(x, 32); }

// High halves of 8 products: the even columns' moved down, the odd ones' stay.
inline __m256i high_halves(__m256i even, __m256i odd) {
  return _mm256_blend_epi32(odd_lanes(even), odd, 0xAA);
}

inline __m256i numbers(i64 value) { return _mm256_set1_epi32(static_cast<i32>(value)); }

inline __m256i words(i64 value) { return _mm256_set1_epi16(static_cast<i16>(value)); }

// Words of two vectors in order, saturated.
inline __m256i joined(__m256i first, __m256i second) {
  return _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xD8);
}

// Bytes of 16 words in order, saturated.
inline __m128i narrowed(__m256i words) {
  return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

// The first `count` of 16 words.
inline __m256i load_words(const i16* from, i64 count) {
  if (count >= kLanes) return load(from);
  i16 all[kLanes] = {};
  std::memcpy(all, from, static_cast<std::size_t>(count) * sizeof *all);
  return load(all);
}

// Stores the first `count` of 16 words, or of their bytes.
inline void store_words(__m256i words, i64 count, i16* to) {
  if (count >= kLanes) return store(to, words);
  i16 all[kLanes];
  store(all, words);
  std::memcpy(to, all, static_cast<std::size_t>(count) * sizeof *all);
}

inline void store_bytes(__m256i words, i64 count, u8* to) {
  const __m128i bytes = narrowed(words);
  if (count >= kLanes) return _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
  u8 all[kLanes];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(all), bytes);
  std::memcpy(to, all, static_cast<std::size_t>(count));
}

// Constants of 8 channels for the quick form, (4) in epilogue/epilogue.inl.
struct ChannelVector {
  __m256i even_multiplier, odd_multiplier, even_offset, odd_offset, shift, up;

  // at: a multiple of 8; in blocks of 16 columns, the even ones come first.
  ChannelVector(const Gemm& g, i64 at)
      : even_multiplier(load(g.multiplier + split(at))),
        odd_multiplier(load(g.multiplier + split(at) + 8)),
        even_offset(load(g.offset + split(at))),
        odd_offset(load(g.offset + split(at) + 8)),
        shift(load(g.shift + at)),
        up(g.up ? load(g.up + at) : _mm256_setzero_si256()) {}

  template <bool Up>
  __m256i codes(__m256i sum) const {
    if (Up) sum = _mm256_sllv_epi32(sum, up);
    __m256i even = _mm256_mul_epi32(sum, even_multiplier);
    __m256i odd = _mm256_mul_epi32(odd_lanes(sum), odd_multiplier);
    even = _mm256_add_epi64(even, even_offset);
    odd = _mm256_add_epi64(odd, odd_offset);
    return _mm256_srav_epi32(high_halves(even, odd), shift);
  }

 private:
  static i64 split(i64 at) { return at / kLanes * kLanes + at % kLanes / 2; }
};

struct Limits {
  __m256i low, high;

  Limits(i64 low, i64 high) : low(numbers(low)), high(numbers(high)) {}

  __m256i operator()(__m256i x) const {
    return _mm256_max_epi32(low, _mm256_min_epi32(high, x));
  }
};

struct WordLimits {
  __m256i low, high;

  WordLimits(i64 low, i64 high) : low(words(low)), high(words(high)) {}

  __m256i operator()(__m256i x) const {
    return _mm256_max_epi16(low, _mm256_min_epi16(high, x));
  }

  static bool hold(i64 low, i64 high) { return low >= INT16_MIN && high <= INT16_MAX; }
};

// 8 results of 64 bits, shifted right, of which 32 bits hold what is left. High: by at
// least 32, so that upper halves will do.
template <bool High>
struct Narrowing {
  __m128i shift, rest;

  explicit Narrowing(i64 shift)
      : shift(_mm_cvtsi64_si128(High ? shift - 32 : shift)),
        rest(_mm_cvtsi64_si128(32 - shift)) {}

  __m256i operator()(__m256i even, __m256i odd) const {
    if (High) return _mm256_sra_epi32(high_halves(even, odd), shift);
    // The odd lanes' result is moved to where it belongs, the high half.
    return _mm256_blend_epi32(_mm256_srl_epi64(even, shift), _mm256_sll_epi64(odd, rest),
                              0xAA);
  }
};

// A sum of two with one rounding: both products in 64 bits.
template <bool High>
struct SumVector {
  __m256i left, right, offset;
  Narrowing<High> narrowed;
  Limits limits;

  explicit SumVector(const Sum& s)
      : left(_mm256_set1_epi64x(s.left)),
        right(_mm256_set1_epi64x(s.right)),
        offset(_mm256_set1_epi64x(s.offset)),
        narrowed(s.shift),
        limits(s.low, s.high) {}

  __m256i wide(__m256i a, __m256i b) const {
    const __m256i sum = _mm256_add_epi64(_mm256_mul_epi32(a, left), offset);
    return _mm256_add_epi64(sum, _mm256_mul_epi32(b, right));
  }

  __m256i operator()(__m256i a, __m256i b) const {
    return limits(narrowed(wide(a, b), wide(odd_lanes(a), odd_lanes(b))));
  }
};

// One requantization of all columns.
template <bool High>
struct ScalarVector {
  __m256i multiplier, offset;
  Narrowing<High> narrowed;
  Limits limits;

  explicit ScalarVector(const Requantization& r)
      : multiplier(_mm256_set1_epi64x(r.multiplier)),
        offset(_mm256_set1_epi64x(r.offset)),
        narrowed(r.shift),
        limits(r.low, r.high) {}

  __m256i wide(__m256i a) const {
    return _mm256_add_epi64(_mm256_mul_epi32(a, multiplier), offset);
  }

  __m256i operator()(__m256i a) const {
    return limits(narrowed(wide(a), wide(odd_lanes(a))));
  }
};

// Calls body(vectors of the right form); returns whether there is one.
template <template <bool> class Vector, class Constants, class Body>
inline bool with_form(const Constants& c, Body body) {
  if (!c.fits_int32) return false;
  if (c.shift < 32) body(Vector<false>(c));
  else body(Vector<true>(c));
  return true;
}

// Sums of 64 bits, and 8 unsigned numbers of 32 bits more.
inline __m256i added(__m256i sums, __m256i x) {
  sums = _mm256_add_epi64(sums, _mm256_and_si256(x, _mm256_set1_epi64x(0xFFFFFFFF)));
  return _mm256_add_epi64(sums, odd_lanes(x));
}

// The sum of four numbers of 64 bits.
inline i64 sum_of_lanes(__m256i x) {
  i64 lanes[4];
  store(lanes, x);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

// Lanes below `count` of 8: all ones.
inline __m256i first_lanes(i64 count) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(numbers(count < kVector ? count : kVector), lanes);
}

}  // namespace
}  // namespace iptq
