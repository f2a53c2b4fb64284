// From accumulators to the scores of an attention, 32 words at a time.
#pragma once

#include <type_traits>

#include "epilogue/word_sums_avx512.inl"
#include "softmax/softmax_any.inl"

namespace iptq {
namespace {

// How scores of an attention become words, with a bias that is added, and a mask: what it
// hides lies so far below the largest score that its difference is limited, whatever it is.
// It becomes INT16_MIN, which no other score is.
struct WordScores {
  Scores form = kAsNumbers;
  const ScoreAddition *bias = nullptr, *mask = nullptr;

  explicit WordScores(const Attention& a) {
    i64 low = a.score.low, high = a.score.high;
    if (!a.softmax.fine || low < INT16_MIN || high > INT16_MAX) return;
    for (i64 i = 0; i < a.additions; ++i) {
      const ScoreAddition& s = a.addition[i];
      if (mask) return;
      if (hides(s, a.softmax.clamp, low, high)) {
        mask = &s;
      } else if (!bias && s.most <= INT16_MAX && WordSum::fits(s.sum)) {
        bias = &s;
        low = s.sum.low, high = s.sum.high;
      } else {
        return;
      }
    }
    form = mask ? kAsHiddenWords : kAsWords;
  }

 private:
  static bool hides(const ScoreAddition& s, i64 clamp, i64 low, i64 high) {
    const Sum& sum = s.sum;
    const bool plain = sum.left == 1 && sum.right == 1 && sum.offset == 0 && sum.shift == 0;
    return plain && low > INT16_MIN && sum.high >= high && clamp <= UINT16_MAX &&
           s.hides >= clamp + high - low && sum.low <= low - clamp;
  }
};

// Numbers of two vectors as words, saturated; like those of accumulators they alternate by
// 128 bits.
inline __m512i packed(const i32* from) {
  return _mm512_packs_epi32(load(from), load(from + kLanes));
}

// The same of the first `count` numbers; others are not read.
inline __m512i packed(const i32* from, i64 count) {
  const __m512i first = _mm512_maskz_loadu_epi32(first_lanes(count), from);
  const __m512i rest =
      _mm512_maskz_loadu_epi32(first_lanes(count - kLanes), from + kLanes);
  return _mm512_packs_epi32(first, rest);
}

// Scores of a row in place: they fill half of it. Those beyond the keys are the least.
template <bool Biased, bool Masked, class Scalar>
inline void word_row(const Scalar& scalar, const WordLimits& limits, const WordSum& sum,
                     const i32* bias, const i32* mask, i64 keys, i32* row) {
  const __m512i most = words(INT16_MAX);
  i16* to = reinterpret_cast<i16*>(row);
  const auto made = [&](i64 i, auto... count) {
    __m512i x = _mm512_packs_epi32(scalar.unlimited(load(row + i)),
                                   scalar.unlimited(load(row + i + kLanes)));
    x = limits(x);
    if constexpr (Biased) x = sum(x, packed(bias + i, count...));
    if constexpr (Masked) {
      const __m512i hidden = _mm512_srai_epi16(packed(mask + i, count...), 15);
      x = _mm512_min_epi16(x, _mm512_xor_si512(hidden, most));
    }
    return x;
  };
  i64 i = 0;
  for (; i + 2 * kLanes <= keys; i += 2 * kLanes) _mm512_storeu_si512(to + i, made(i));
  if (i == keys) return;
  const __m512i ones = _mm512_set1_epi32(-1), zero = _mm512_setzero_si512();
  const __m512i inside =
      _mm512_packs_epi32(_mm512_mask_mov_epi32(zero, first_lanes(keys - i), ones),
                         _mm512_mask_mov_epi32(zero, first_lanes(keys - i - kLanes), ones));
  const __m512i x = made(i, keys - i);
  _mm512_storeu_si512(to + i, _mm512_mask_mov_epi16(words(INT16_MIN),
                                                    _mm512_movepi16_mask(inside), x));
}

template <bool Biased, bool Masked>
void word_scores(const Attention& a, const WordScores& how, i64 group, i64 row, i64 rows,
                 i32* scores, i64 distance) {
  const auto begin = [&](const ScoreAddition* s) {
    return s->addend + s->at[group] + row * s->row;
  };
  const i32* bias = Biased ? begin(how.bias) : nullptr;
  const i32* mask = Masked ? begin(how.mask) : nullptr;
  const WordSum sum(Biased ? how.bias->sum : Sum());
  const WordLimits limits(a.score.low, a.score.high);
  with_scalar<!Biased>(a.score, [&](const auto& scalar) {
    for (i64 r = 0; r < rows; ++r, scores += distance) {
      word_row<Biased, Masked>(scalar, limits, sum, bias, mask, a.keys, scores);
      if (Biased) bias += how.bias->row;
      if (Masked) mask += how.mask->row;
    }
  });
}

inline void word_scores(const Attention& a, const WordScores& how, i64 group, i64 row,
                        i64 rows, i32* scores, i64 distance) {
  const auto make = how.bias ? how.mask ? word_scores<true, true> : word_scores<true, false>
                    : how.mask ? word_scores<false, true>
                               : word_scores<false, false>;
  make(a, how, group, row, rows, scores, distance);
}

}  // namespace
}  // namespace iptq
