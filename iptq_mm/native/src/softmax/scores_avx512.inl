// From accumulators to the scores of an attention, as numbers of 32 bits or as words.
#pragma once

#include <type_traits>

#include "commands.h"
#include "isa/vectors_avx512.inl"

namespace iptq {
namespace {

// The least and the largest score.
struct ScoreRange {
  i64 low, high;

  explicit ScoreRange(const Attention& a) : low(a.score.low), high(a.score.high) {
    if (a.additions == 0) return;
    low = a.addition[a.additions - 1].sum.low;
    high = a.addition[a.additions - 1].sum.high;
  }
  // Whether words hold all of them.
  bool fits_words() const { return low >= INT16_MIN && high <= INT16_MAX; }
};

// Scores of a row in place, each made(i) from lane i on, within the limits.
template <class Make>
inline void place_scores(const Limits&, i32* row, i64 keys, const Make& made) {
  for (i64 i = 0; i < keys; i += kLanes) _mm512_storeu_si512(row + i, made(i));
}

// As words they fill half of it, two vectors in a register; limits are those of words.
// Those beyond the keys are the least, then.
template <class Make>
inline void place_scores(const WordLimits& limits, i32* row, i64 keys, const Make& made) {
  i16* to = reinterpret_cast<i16*>(row);
  i64 i = 0;
  for (; i + 2 * kLanes <= keys; i += 2 * kLanes)
    _mm512_storeu_si512(to + i, limits(_mm512_packs_epi32(made(i), made(i + kLanes))));
  if (i == keys) return;
  const __m512i least = _mm512_set1_epi32(INT32_MIN);
  const __m512i first = _mm512_mask_mov_epi32(least, first_lanes(keys - i), made(i));
  const __m512i second =
      _mm512_mask_mov_epi32(least, first_lanes(keys - i - kLanes), made(i + kLanes));
  _mm512_storeu_si512(to + i, limits(_mm512_packs_epi32(first, second)));
}

// Accumulators of rows to scores within limits, with what is added to them: biases, masks.
template <class Limited>
inline void score_rows(const Attention& a, const Limited& limits, i64 group, i64 row,
                       i64 rows, i32* scores, i64 distance) {
  constexpr bool words = std::is_same<Limited, WordLimits>::value;
  const auto addends = [&](i64 number, i64 r, i64 i) {
    const ScoreAddition& s = a.addition[number];
    const i32* addend = s.addend + s.at[group] + (row + r) * s.row;
    return _mm512_maskz_loadu_epi32(first_lanes(a.keys - i), addend + i);
  };
  const auto last = [](const auto& made, auto... x) {
    return words ? made.unlimited(x...) : made(x...);
  };
  const auto each = [&](auto alone, const auto& make) {
    with_scalar<decltype(alone)::value>(a.score, [&](const auto& requantized) {
      for (i64 r = 0; r < rows; ++r) {
        i32* to = scores + r * distance;
        place_scores(limits, to, a.keys,
                     [&](i64 i) { return make(requantized, load(to + i), r, i); });
      }
    });
  };
  if (a.additions == 0)
    return each(std::true_type(), [&](const auto& score, __m512i x, i64, i64) {
      return last(score, x);
    });
  with_sum(a.addition[0].sum, [&](const auto& first) {
    if (a.additions == 1)
      return each(std::false_type(), [&](const auto& score, __m512i x, i64 r, i64 i) {
        return last(first, score(x), addends(0, r, i));
      });
    with_sum(a.addition[1].sum, [&](const auto& second) {
      each(std::false_type(), [&](const auto& score, __m512i x, i64 r, i64 i) {
        return last(second, first(score(x), addends(0, r, i)), addends(1, r, i));
      });
    });
  });
}

// Returns whether scores are words: where what follows wants these. It looks up 32
// differences at a time.
inline bool score_rows(const Attention& a, i64 group, i64 row, i64 rows, i32* scores,
                       i64 distance) {
  const ScoreRange range(a);
  const bool words = a.softmax.fine && range.fits_words();
  if (words)
    score_rows(a, WordLimits(range.low, range.high), group, row, rows, scores, distance);
  else
    score_rows(a, Limits(range.low, range.high), group, row, rows, scores, distance);
  return words;
}

inline i32 largest_of(const i32* scores, i64 count) {
  __m512i largest = _mm512_set1_epi32(INT32_MIN);
  for (i64 i = 0; i < count; i += kLanes)
    largest = _mm512_mask_max_epi32(largest, first_lanes(count - i), largest,
                                    load(scores + i));
  return _mm512_reduce_max_epi32(largest);
}

inline i32 largest_of(const i16* words, i64 count) {
  __m512i largest = load(words);
  for (i64 i = 2 * kLanes; i < count; i += 2 * kLanes)
    largest = _mm512_max_epi16(largest, load(words + i));
  const __m512i even = _mm512_srai_epi32(_mm512_slli_epi32(largest, 16), 16);
  return _mm512_reduce_max_epi32(
      _mm512_max_epi32(even, _mm512_srai_epi32(largest, 16)));
}

}  // namespace
}  // namespace iptq
