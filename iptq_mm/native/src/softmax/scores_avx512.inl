// From accumulators to the scores of an attention, as numbers of 32 bits or as words, and
// the largest of a row.
#pragma once

#include <type_traits>

#include "softmax/word_scores_avx512.inl"

namespace iptq {
namespace {

// Accumulators of rows to scores, with what is added to them: biases, masks.
inline void number_scores(const Attention& a, i64 group, i64 row, i64 rows, i32* scores,
                          i64 distance) {
  const auto addends = [&](i64 number, i64 r, i64 i) {
    const ScoreAddition& s = a.addition[number];
    const i32* addend = s.addend + s.at[group] + (row + r) * s.row;
    return _mm512_maskz_loadu_epi32(first_lanes(a.keys - i), addend + i);
  };
  const auto each = [&](auto alone, const auto& make) {
    with_scalar<decltype(alone)::value>(a.score, [&](const auto& score) {
      for (i64 r = 0; r < rows; ++r) {
        i32* to = scores + r * distance;
        for (i64 i = 0; i < a.keys; i += kLanes)
          _mm512_storeu_si512(to + i, make(score(load(to + i)), r, i));
      }
    });
  };
  if (a.additions == 0)
    return each(std::true_type(), [](__m512i x, i64, i64) { return x; });
  with_sum(a.addition[0].sum, [&](const auto& first) {
    if (a.additions == 1)
      return each(std::false_type(),
                  [&](__m512i x, i64 r, i64 i) { return first(x, addends(0, r, i)); });
    with_sum(a.addition[1].sum, [&](const auto& second) {
      each(std::false_type(), [&](__m512i x, i64 r, i64 i) {
        return second(first(x, addends(0, r, i)), addends(1, r, i));
      });
    });
  });
}

// What follows wants words where it looks up 32 differences at a time.
inline Scores score_rows(const Attention& a, i64 group, i64 row, i64 rows, i32* scores,
                         i64 distance) {
  const WordScores words(a);
  if (words.form == kAsNumbers)
    number_scores(a, group, row, rows, scores, distance);
  else
    word_scores(a, words, group, row, rows, scores, distance);
  return words.form;
}

inline i32 largest_of(const i32* scores, i64 count) {
  __m512i largest = _mm512_set1_epi32(INT32_MIN);
  for (i64 i = 0; i < count; i += kLanes)
    largest = _mm512_mask_max_epi32(largest, first_lanes(count - i), largest,
                                    load(scores + i));
  return _mm512_reduce_max_epi32(largest);
}

// In all lanes.
inline __m512i largest_of(const i16* from, i64 count) {
  __m512i largest = load(from);
  for (i64 i = 2 * kLanes; i < count; i += 2 * kLanes)
    largest = _mm512_max_epi16(largest, load(from + i));
  const __m256i half = _mm256_max_epi16(_mm512_castsi512_si256(largest),
                                        _mm512_extracti64x4_epi64(largest, 1));
  const __m128i quarter = _mm_max_epi16(_mm256_castsi256_si128(half),
                                        _mm256_extracti128_si256(half, 1));
  // INT16_MAX less each is unsigned, and there is an instruction for the least of these.
  const __m128i least = _mm_minpos_epu16(_mm_xor_si128(quarter, _mm_set1_epi16(INT16_MAX)));
  return _mm512_xor_si512(_mm512_broadcastw_epi16(least), words(INT16_MAX));
}

}  // namespace
}  // namespace iptq
