// From accumulators to the scores of an attention, as numbers of 32 bits or as words.
#pragma once

#include "commands.h"
#include "isa/vectors_avx512.inl"

namespace iptq {
namespace {

// Whether words hold all scores, and what follows wants them: 32 differences at a time
// are looked up.
inline bool makes_words(const Attention& a) {
  const ScoreAddition* last =
      a.additions ? &a.addition[a.additions - 1] : nullptr;
  const i64 low = last ? last->sum.low : a.score.low;
  const i64 high = last ? last->sum.high : a.score.high;
  return a.softmax.fine && low >= INT16_MIN && high <= INT16_MAX;
}

// Scores of a row in place, each made(i) from lane i on; as words they fill half of it,
// two vectors in a register. Those beyond the keys are the least, then.
template <class Make>
inline void place_scores(i32* row, i64 keys, bool words, const Make& made) {
  if (!words) {
    for (i64 i = 0; i < keys; i += kLanes) _mm512_storeu_si512(row + i, made(i));
    return;
  }
  const __m512i least = _mm512_set1_epi32(INT32_MIN);
  i16* to = reinterpret_cast<i16*>(row);
  for (i64 i = 0; i < keys; i += 2 * kLanes) {
    __m512i first = made(i), second = made(i + kLanes);
    if (keys - i < 2 * kLanes) {
      first = _mm512_mask_mov_epi32(least, first_lanes(keys - i), first);
      second = _mm512_mask_mov_epi32(least, first_lanes(keys - i - kLanes), second);
    }
    _mm512_storeu_si512(to + i, _mm512_packs_epi32(first, second));
  }
}

// Accumulators of rows to scores, with what is added to them: biases, masks. Returns
// whether they are words.
inline bool score_rows(const Attention& a, i64 group, i64 row, i64 rows, i32* scores,
                       i64 distance) {
  const bool words = makes_words(a);
  const auto addends = [&](i64 number, i64 r, i64 i) {
    const ScoreAddition& s = a.addition[number];
    const i32* addend = s.addend + s.at[group] + (row + r) * s.row;
    return _mm512_maskz_loadu_epi32(first_lanes(a.keys - i), addend + i);
  };
  const auto each = [&](const auto& make) {
    with_scalar(a.score, [&](const auto& requantized) {
      for (i64 r = 0; r < rows; ++r) {
        i32* to = scores + r * distance;
        place_scores(to, a.keys, words,
                     [&](i64 i) { return make(requantized(load(to + i)), r, i); });
      }
    });
  };
  if (a.additions == 0) {
    each([](__m512i x, i64, i64) { return x; });
    return words;
  }
  with_sum(a.addition[0].sum, [&](const auto& first) {
    if (a.additions == 1)
      return each([&](__m512i x, i64 r, i64 i) { return first(x, addends(0, r, i)); });
    with_sum(a.addition[1].sum, [&](const auto& second) {
      each([&](__m512i x, i64 r, i64 i) {
        return second(first(x, addends(0, r, i)), addends(1, r, i));
      });
    });
  });
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
