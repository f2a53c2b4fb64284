// The rows of an attention whose scores are words, 16 keys at a time; any others as
// compilers vectorize them.
#pragma once

#include "isa/vectors_neon.inl"
#include "softmax/exponentials_neon.inl"
#include "softmax/scores_neon.inl"
#include "softmax/softmax_any.inl"

namespace iptq {
namespace {

// Words of a few rows become exponentials of how far they lie below the largest, and from
// the end on, since these take twice the room; their sums. Those beyond the keys are all the
// same, and no part of it. Rows together read the tables once.
template <int Rows>
void word_exponentials(const Softmax& s, const Tables& tables, i32* scores, i64 distance,
                       i64 keys, i64* sums) {
  const i64 padded = ceil_div(keys, kLanes) * kLanes;
  const uint16x8_t limit = vdupq_n_u16(static_cast<u16>(s.clamp));
  int16x8_t largest[Rows];
  uint64x2_t total[Rows];
  for (int r = 0; r < Rows; ++r) {
    largest[r] = vdupq_n_s16(reinterpret_cast<const i16*>(scores + r * distance)[padded]);
    total[r] = vdupq_n_u64(0);
  }
  for (i64 i = padded - kLanes; i >= 0; i -= kLanes) {
    uint16x8_t d[Rows][2];
    uint32x4x4_t made[Rows];
#pragma GCC unroll 2
    for (int r = 0; r < Rows; ++r) {
      const i16* words = reinterpret_cast<const i16*>(scores + r * distance) + i;
      d[r][0] = vreinterpretq_u16_s16(vsubq_s16(largest[r], vld1q_s16(words)));
      d[r][1] = vreinterpretq_u16_s16(vsubq_s16(largest[r], vld1q_s16(words + 8)));
    }
#pragma GCC unroll 2
    for (int r = 0; r < Rows; ++r)
      made[r] = tables(vminq_u16(limit, d[r][0]), vminq_u16(limit, d[r][1]));
#pragma GCC unroll 2
    for (int r = 0; r < Rows; ++r) {
      // Two are below 2**32.
      total[r] = vpadalq_u32(total[r], vaddq_u32(made[r].val[0], made[r].val[1]));
      total[r] = vpadalq_u32(total[r], vaddq_u32(made[r].val[2], made[r].val[3]));
      u32* e = reinterpret_cast<u32*>(scores + r * distance) + i;
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) vst1q_u32(e + 4 * j, made[r].val[j]);
    }
  }
  for (int r = 0; r < Rows; ++r) {
    const u32 other = static_cast<u32>(scores[r * distance + padded - 1]);
    sums[r] = static_cast<i64>(vaddvq_u64(total[r]) - static_cast<u64>(padded - keys) * other);
  }
}

// Exponentials to probabilities' codes, by (1) of vectors_neon.inl. Words saturate.
template <bool Limited>
void word_probabilities(const Softmax& s, const i32* e, i64 keys, i64 reciprocal, i16* p) {
  const int32x4_t factor = vdupq_n_s32(static_cast<i32>(reciprocal));
  const int32x4_t shift = vdupq_n_s32(static_cast<i32>(31 - s.quotient_shift));
  const uint16x8_t high = vdupq_n_u16(static_cast<u16>(s.high));
  const uint16x8_t zero_point = vdupq_n_u16(static_cast<u16>(s.zero_point));
  const auto quotient = [&](int32x4_t x) {
    return vreinterpretq_u32_s32(vrshlq_s32(vqdmulhq_s32(x, factor), shift));
  };
  const auto codes = [&](int32x4_t x, int32x4_t y) {
    uint16x8_t q = vqmovn_high_u32(vqmovn_u32(quotient(x)), quotient(y));
    if (Limited) q = vaddq_u16(vminq_u16(q, high), zero_point);
    return vreinterpretq_s16_u16(q);
  };
  for (i64 i = 0; i < keys; i += kLanes) {
    const int32x4x4_t x = vld1q_s32_x4(e + i);
    store_pair(codes(x.val[0], x.val[1]), codes(x.val[2], x.val[3]), p + i);
  }
}

// Scores become probabilities' codes.
template <class T>
void quotients(const Softmax& s, const Tables& tables, i32* scores, i64 distance, i64 rows,
               i64 keys, Scores form, T* p, i64 p_row) {
  if (form == kAsNumbers) return any_quotients(s, scores, distance, rows, keys, p, p_row);
  i64 sums[kTileRows];
  i64 r = 0;
  for (; r + 2 <= rows; r += 2)
    word_exponentials<2>(s, tables, scores + r * distance, distance, keys, sums + r);
  if (r < rows)
    word_exponentials<1>(s, tables, scores + r * distance, distance, keys, sums + r);
  for (r = 0; r < rows; ++r, scores += distance, p += p_row) {
    const i64 total = sums[r];
    if constexpr (sizeof(T) == 2) {
      const i64 reciprocal = ((total >> 1) + s.one) / total;
      if (reciprocal <= INT32_MAX && s.quotient_shift >= 32 && s.high <= UINT16_MAX) {
        const bool limited = s.high < UINT16_MAX || s.zero_point;
        const auto divide = limited ? word_probabilities<true> : word_probabilities<false>;
        divide(s, scores, keys, reciprocal, reinterpret_cast<i16*>(p));
        continue;
      }
    }
    probabilities(s, scores, keys, total, p);
  }
}

// Sums of rows to results, those `out_row` apart.
inline void store_results(const Requantization& r, i64 size, const i32* sums,
                          i64 distance, i64 rows, void* out, i64 type, i64 at,
                          i64 out_row) {
  const QuickScalar quick(r);
  if (!quick.fits || quick.shifts != kRight || type != kU8 || !within_bytes(r.low, r.high))
    return any_store_results(r, size, sums, distance, rows, out, type, at, out_row);
  const ByteLimits limits(r.low, r.high);
  const auto codes = [&](const i32* from) {
    const int32x4x4_t x = vld1q_s32_x4(from);
    return limits.always(joined(quick.operator()<kRight>(x.val[0], x.val[1]),
                                quick.operator()<kRight>(x.val[2], x.val[3])));
  };
  const i64 whole = size / kLanes * kLanes;
  for (i64 row = 0; row < rows; ++row, sums += distance, at += out_row) {
    u8* to = static_cast<u8*>(out) + at;
    for (i64 c = 0; c < whole; c += kLanes) vst1q_u8(to + c, codes(sums + c));
    if (whole < size) store_bytes(codes(sums + whole), to + whole, size - whole);
  }
}

}  // namespace
}  // namespace iptq
