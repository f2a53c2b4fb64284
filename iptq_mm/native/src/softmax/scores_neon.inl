// Scores of an attention, 16 keys at a time: from the sums of their products to words, which
// fill half of a row, and behind which the largest of them is.
#pragma once

#include "epilogue/dword_sums_neon.inl"
#include "isa/vectors_neon.inl"
#include "softmax/softmax_any.inl"

namespace iptq {
namespace {

// What a sum of products of bytes is at most, less zero points.
inline i64 largest_score(const Attention& a) { return a.depth * 255 * 128; }

// Scores that are words at once. Those beyond the keys are the least.
template <Shifts S>
void word_scores(const QuickScalar& scale, const WordLimits& range, i64 keys, i32* row) {
  const QuickScalar quick = scale;
  const WordLimits limits = range;
  i16* to = reinterpret_cast<i16*>(row);
  int16x8_t largest = vdupq_n_s16(INT16_MIN);
  const auto store = [&](int16x8_t x, int16x8_t y, i64 i) {
    largest = vmaxq_s16(largest, vmaxq_s16(x, y));
    store_pair(x, y, to + i);
  };
  const auto scores = [&](int32x4_t x, int32x4_t y) {
    return limits(quick.integers<S>(x, y));
  };
  i64 i = 0;
  for (; i + kLanes <= keys; i += kLanes) {
    const int32x4x4_t x = vld1q_s32_x4(row + i);
    store(scores(x.val[0], x.val[1]), scores(x.val[2], x.val[3]), i);
  }
  if (i < keys) {
    const int32x4x4_t x = vld1q_s32_x4(row + i);
    const int16x8_t least = vdupq_n_s16(INT16_MIN);
    store(vbslq_s16(first_words(keys - i), scores(x.val[0], x.val[1]), least),
          vbslq_s16(first_words(keys - i - 8), scores(x.val[2], x.val[3]), least), i);
    i += kLanes;
  }
  to[i] = vmaxvq_s16(largest);
}

// Scores of any range.
inline void dword_scores(const Requantization& r, i64 keys, i32* row) {
  const WideResult result(r);
  const int32x4_t m = vdupq_n_s32(static_cast<i32>(r.multiplier));
  for (i64 i = 0; i < keys; i += 4) {
    const int32x4_t x = vld1q_s32(row + i);
    vst1q_s32(row + i, result(vmlal_s32(result.offset, vget_low_s32(x), vget_low_s32(m)),
                              vmlal_high_s32(result.offset, x, m)));
  }
}

// Dwords become words that lie as far below the largest, which is the largest word then;
// those that lie further below, and those beyond the keys, are the least one.
inline void narrow_scores(i64 keys, i32* row) {
  const i64 padded = ceil_div(keys, kLanes) * kLanes;
  for (i64 i = keys; i < padded; ++i) row[i] = INT32_MIN;
  int32x4_t largest = vld1q_s32(row);
  for (i64 i = 4; i < padded; i += 4) largest = vmaxq_s32(largest, vld1q_s32(row + i));
  const int32x4_t first = vdupq_n_s32(vmaxvq_s32(largest)), most = vdupq_n_s32(INT16_MAX);
  const auto below = [=](int32x4_t x) { return vqaddq_s32(vqsubq_s32(x, first), most); };
  i16* to = reinterpret_cast<i16*>(row);
  for (i64 i = 0; i < padded; i += kLanes) {
    const int32x4x4_t x = vld1q_s32_x4(row + i);
    store_pair(joined(below(x.val[0]), below(x.val[1])),
               joined(below(x.val[2]), below(x.val[3])), to + i);
  }
  to[padded] = INT16_MAX;
}

// Sums of rows to scores, with what is added to them; whether they are words, which do
// where differences beyond those of words are limited.
inline Scores score_rows(const Attention& a, i64 group, i64 row, i64 rows, i32* scores,
                         i64 distance) {
  const Requantization& r = a.score;
  const QuickScalar quick(r, largest_score(a));
  const bool words = a.softmax.form == kTables && a.softmax.fine && !a.softmax.table &&
                     a.softmax.clamp <= UINT16_MAX && a.softmax.down == 0;
  if (words && !a.additions && quick.fits && !quick.adds && within_words(r.low, r.high)) {
    const WordLimits limits(r.low, r.high);
    const auto each = quick.shifts == kLeft    ? word_scores<kLeft>
                      : quick.shifts == kRight ? word_scores<kRight>
                                               : word_scores<kNone>;
    for (i64 i = 0; i < rows; ++i) each(quick, limits, a.keys, scores + i * distance);
    return kAsWords;
  }
  for (i64 i = 0; i < rows; ++i, scores += distance) {
    dword_scores(r, a.keys, scores);
    for (i64 s = 0; s < a.additions; ++s) {
      const ScoreAddition& added = a.addition[s];
      const i32* addend = added.addend + added.at[group] + (row + i) * added.row;
      add_rows(added.sum, scores, addend, a.keys);
    }
    if (words) narrow_scores(a.keys, scores);
  }
  return words ? kAsWords : kAsNumbers;
}

}  // namespace
}  // namespace iptq
