// From exponentials and the reciprocal of their sum to codes of probabilities.
#pragma once

#include "commands.h"
#include "isa/vectors_avx512.inl"
#include "product/panels.h"

namespace iptq {
namespace {

// 32 probabilities in unsigned words, without their zero point. Of a product of 62 bits,
// the upper half will do; a reciprocal has 32.
struct WordQuotients {
  __m512i factor, half, most, shift;

  WordQuotients(const Softmax& s, i64 reciprocal)
      : factor(_mm512_set1_epi64(reciprocal)),
        half(_mm512_set1_epi32(1 << (s.quotient_shift - 33))),
        most(words(s.high)),
        shift(_mm512_set1_epi32(static_cast<i32>(s.quotient_shift - 32))) {}

  __m512i rounded(__m512i e) const {
    const __m512i odd = _mm512_mul_epu32(odd_lanes(e), factor);
    const __m512i q = high_halves(_mm512_mul_epu32(e, factor), odd);
    return _mm512_srlv_epi32(_mm512_add_epi32(q, half), shift);
  }

  __m512i operator()(const i32* e) const {
    const __m512i first = rounded(load(e)), second = rounded(load(e + kLanes));
    return _mm512_min_epu16(_mm512_packus_epi32(first, second), most);
  }

  // What these take: no more than 16 bits of a result, and a shift by 33 to 62.
  static bool suits(const Softmax& s) {
    return s.quotient_shift > 32 && s.quotient_shift < 63 && s.high <= UINT16_MAX;
  }
};

// Exponentials to codes of probabilities, by a reciprocal of 32 bits.
template <class T>
void word_codes(const Softmax& s, const i32* e, i64 keys, i64 reciprocal, T* p, i64) {
  const WordQuotients quotients(s, reciprocal);
  const __m512i zero_point = words(s.zero_point);
  const __m512i zero = _mm512_set1_epi32(static_cast<i32>(s.zero_point));
  for (i64 i = 0; i < keys; i += 2 * kLanes) {
    const __m512i q = ordered_words(quotients(e + i));
    const __m512i codes = _mm512_add_epi16(q, zero_point);
    if constexpr (sizeof(T) == 4) {
      const __m512i first = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(q));
      const __m512i second = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(q, 1));
      _mm512_storeu_si512(p + i, _mm512_add_epi32(first, zero));
      _mm512_storeu_si512(p + i + kLanes, _mm512_add_epi32(second, zero));
    } else if constexpr (sizeof(T) == 2)
      _mm512_storeu_si512(p + i, codes);
    else
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + i), _mm512_cvtepi16_epi8(codes));
  }
}

// The two bytes of each, without the zero point: those above in the first half of a row.
template <>
inline void word_codes(const Softmax& s, const i32* e, i64 keys, i64 reciprocal,
                       SplitWord* p, i64 p_row) {
  const WordQuotients quotients(s, reciprocal);
  char* above = reinterpret_cast<char*>(p);
  const __m512i low = words(0xFF);
  for (i64 i = 0; i < keys; i += 4 * kLanes, above += 4 * kLanes) {
    const __m512i first = quotients(e + i), second = quotients(e + i + 2 * kLanes);
    _mm512_storeu_si512(above, ordered_bytes(_mm512_srli_epi16(first, 8),
                                             _mm512_srli_epi16(second, 8)));
    _mm512_storeu_si512(above + p_row, ordered_bytes(_mm512_and_si512(first, low),
                                                     _mm512_and_si512(second, low)));
  }
}

// 16 codes less their zero point, from number i on.
template <class T>
void write_codes(__m512i codes, i64 zero_point, T* p, i64 i, i64) {
  codes = _mm512_add_epi32(codes, _mm512_set1_epi32(static_cast<i32>(zero_point)));
  if constexpr (sizeof(T) == 4)
    _mm512_storeu_si512(p + i, codes);
  else if constexpr (sizeof(T) == 2)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + i), _mm512_cvtepi32_epi16(codes));
  else
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + i), _mm512_cvtepi32_epi8(codes));
}

inline void write_codes(__m512i codes, i64, SplitWord* p, i64 i, i64 p_row) {
  __m128i* above = reinterpret_cast<__m128i*>(reinterpret_cast<char*>(p) + i);
  _mm_storeu_si128(above, _mm512_cvtepi32_epi8(_mm512_srli_epi32(codes, 8)));
  _mm_storeu_si128(above + p_row / 16, _mm512_cvtepi32_epi8(codes));
}

// The same for any reciprocal and shift. High: a product's upper half will do.
template <bool High, class T>
void any_codes(const Softmax& s, const i32* e, i64 keys, i64 reciprocal, T* p, i64 p_row) {
  const __m512i factor = _mm512_set1_epi64(reciprocal);
  const __m512i half = _mm512_set1_epi64(i64{1} << (s.quotient_shift - 1));
  const __m512i low = _mm512_set1_epi64(0xFFFFFFFF);
  const Narrowing<!High> shifted(s.quotient_shift, true);
  const __m512i above = _mm512_set1_epi32(static_cast<i32>(s.quotient_shift - 32));
  const __m512i most = _mm512_set1_epi32(static_cast<i32>(s.high));
  const auto scaled = [&](__m512i x) {
    const __m512i product = _mm512_mullo_epi64(_mm512_and_si512(x, low), factor);
    return _mm512_add_epi64(product, half);
  };
  for (i64 i = 0; i < keys; i += kLanes) {
    const __m512i x = load(e + i);
    const __m512i even = scaled(x), odd = scaled(odd_lanes(x));
    const __m512i q = High ? _mm512_srav_epi32(high_halves(even, odd), above)
                           : shifted(even, odd);
    write_codes(_mm512_min_epu32(q, most), s.zero_point, p, i, p_row);
  }
}

}  // namespace
}  // namespace iptq
