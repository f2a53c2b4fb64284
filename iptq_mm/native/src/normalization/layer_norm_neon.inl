// Rows of a LayerNorm, 8 numbers at a time.
#pragma once

#include "isa/vectors_neon.inl"
#include "normalization/layer_norm_any.inl"

namespace iptq {
namespace {

inline Moments moments_of(const i16* x, i64 size) {
  int32x4_t total = vdupq_n_s32(0);
  uint64x2_t squares = vdupq_n_u64(0);
  i64 c = 0;
  for (; c + 8 <= size; c += 8) {
    const int16x8_t v = vld1q_s16(x + c);
    total = vpadalq_s16(total, v);
    const int32x4_t low = vmull_s16(vget_low_s16(v), vget_low_s16(v));
    // Up to 2**31: without a sign.
    const uint32x4_t both = vreinterpretq_u32_s32(vmlal_high_s16(low, v, v));
    squares = vpadalq_u32(squares, both);
  }
  const Moments rest = any_moments_of(x + c, size - c);
  return {vaddlvq_s32(total) + rest.total,
          static_cast<i64>(vaddvq_u64(squares)) + rest.squares};
}

// A row's constants, where 32 bits hold the steps: the reciprocal is divided where it is
// shifted,
//
//   (y * reciprocal) >> drop = y * high + floor(y * low / 2**drop)
//   reciprocal = high * 2**drop + low
//
// and the second product's shift is at least 32.
struct NormVector {
  int16x4_t factor;
  int32x4_t centre, high, low, shift;
  ByteLimits bytes;
  WordLimits words;

  static bool fits(const LayerNorm& n, i64 factor, i64 centre, i64 reciprocal) {
    const bool limits = n.out_type == kU8    ? within_bytes(n.low, n.high)
                        : n.out_type == kI16 ? within_words(n.low, n.high)
                                             : false;
    return limits && n.drop >= 0 && n.drop <= 31 && n.shift >= 32 && n.shift < 64 &&
           factor <= INT16_MAX &&
           static_cast<i32>(centre) == centre && reciprocal >> n.drop <= INT32_MAX;
  }

  NormVector(const LayerNorm& n, i64 factor, i64 centre, i64 reciprocal)
      : factor(vdup_n_s16(static_cast<i16>(factor))),
        centre(vdupq_n_s32(static_cast<i32>(centre))),
        high(vdupq_n_s32(static_cast<i32>(reciprocal >> n.drop))),
        low(vdupq_n_s32(static_cast<i32>(
            (reciprocal & ((i64{1} << n.drop) - 1)) << (31 - n.drop)))),
        shift(vdupq_n_s32(static_cast<i32>(32 - n.shift))),
        bytes(n.out_type == kU8 ? n.low : 0, n.out_type == kU8 ? n.high : 0),
        words(n.low, n.high) {}

  int32x4_t codes(int32x4_t product, int32x4_t gamma, int64x2_t first,
                  int64x2_t second) const {
    const int32x4_t y = vsubq_s32(product, centre);
    const int32x4_t z = vmlaq_s32(vqdmulhq_s32(y, low), y, high);
    const int64x2_t even = vmull_s32(vget_low_s32(z), vget_low_s32(gamma));
    const int64x2_t odd = vmull_high_s32(z, gamma);
    return vshlq_s32(vaddhn_high_s64(vaddhn_s64(even, first), odd, second), shift);
  }

  int16x8_t operator()(const i16* x, const i32* gamma, const i64* beta) const {
    const int16x8_t v = vld1q_s16(x);
    const int32x4x2_t g = vld1q_s32_x2(gamma);
    const int64x2x4_t b = vld1q_s64_x4(beta);
    const int32x4_t low = vmull_s16(vget_low_s16(v), factor);
    const int32x4_t high = vmull_high_s16(v, vcombine_s16(factor, factor));
    return joined(codes(low, g.val[0], b.val[0], b.val[1]),
                  codes(high, g.val[1], b.val[2], b.val[3]));
  }
};

// gamma * y / root + beta, to codes; y = x * factor - centre.
inline void normalized(const LayerNorm& n, const i16* x, i64 factor, i64 centre,
                       i64 reciprocal, i64 target) {
  if (n.size % 16 || !NormVector::fits(n, factor, centre, reciprocal))
    return any_normalized(n, x, factor, centre, reciprocal, target);
  const NormVector row(n, factor, centre, reciprocal);
  for (i64 c = 0; c < n.size; c += 16) {
    const int16x8_t a = row(x + c, n.multiplier + c, n.addend + c);
    const int16x8_t b = row(x + c + 8, n.multiplier + c + 8, n.addend + c + 8);
    const i64 at = target * n.out_row + c;
    if (n.out_type == kU8)
      vst1q_u8(static_cast<u8*>(n.out) + at, row.bytes(joined(a, b)));
    else
      store_words(row.words(a), row.words(b), static_cast<i16*>(n.out) + at, 16);
  }
}

// Whether 32 bits hold the steps of fqvit_layernorm, or saturate beyond what its limits
// leave: factors of 15 bits, addends and limits that are small beside 2**31 >> 16.
inline bool scales_quickly(const LayerNorm& n) {
  constexpr i64 kMostFactor = 1 << 15, kMostAddend = i64{1} << 30, kMostCode = 8191;
  bool fits = n.size % 8 == 0 && n.up <= 6 && n.low >= -kMostCode && n.high <= kMostCode &&
              (n.out_type == kU8 ? within_bytes(n.low, n.high) : n.out_type == kI16);
  for (i64 c = 0; fits && c < n.size; ++c)
    fits = n.multiplier[c] > -kMostFactor && n.multiplier[c] < kMostFactor &&
           n.addend[c] > -kMostAddend && n.addend[c] < kMostAddend;
  return fits;
}

// Constants of a row of fqvit_layernorm, see scaled_by_powers() for what they are.
struct PowerVector {
  int32x4_t factor, centre, mantissa, shift, least, most;

  PowerVector(i64 factor, i64 centre, i64 mantissa, i64 shift)
      : factor(vdupq_n_s32(static_cast<i32>(factor))),
        centre(vdupq_n_s32(static_cast<i32>(centre))),
        mantissa(vdupq_n_s32(static_cast<i32>(mantissa))),
        shift(vdupq_n_s32(static_cast<i32>(shift))),
        least(vdupq_n_s32(0)),
        most(vdupq_n_s32(62)) {}

  // 4 codes, which saturate.
  int32x4_t operator()(int16x4_t x, const i32* multiplier, const i32* exponent,
                       const i64* addend) const {
    const int32x4_t f = vld1q_s32(multiplier);
    const int32x4_t product = vmulq_s32(vabsq_s32(f), mantissa);
    const int32x4_t cut = vaddq_s32(vshrq_n_s32(product, 29), vdupq_n_s32(21));
    const int32x4_t size = vrshlq_s32(product, vnegq_s32(cut));
    int32x4_t y = vsubq_s32(vmulq_s32(vmovl_s16(x), factor), centre);
    y = vbslq_s32(vcltzq_s32(f), vnegq_s32(y), y);
    int32x4_t down = vsubq_s32(vsubq_s32(shift, vld1q_s32(exponent)), cut);
    down = vmaxq_s32(least, vminq_s32(most, down));
    const int32x4_t wide =
        vqshlq_s32(vmulq_s32(size, y), vsubq_s32(vdupq_n_s32(24), down));
    const int64x2x2_t beta = vld1q_s64_x2(addend);
    const int64x2_t low = vaddw_s32(beta.val[0], vget_low_s32(wide));
    const int64x2_t high = vaddw_high_s32(beta.val[1], wide);
    return vqshrn_high_n_s64(vqshrn_n_s64(low, 16), high, 16);
  }
};

inline bool scaled_quickly(const LayerNorm& n, const i16* x, i64 factor, i64 centre,
                           i64 mantissa, i64 shift, i64 target) {
  if (static_cast<i32>(centre) != centre) return false;
  const PowerVector row(factor, centre, mantissa, shift);
  const WordLimits limits(n.low, n.high);
  for (i64 c = 0; c < n.size; c += 8) {
    const int16x8_t v = vld1q_s16(x + c);
    const auto codes = [&](int16x4_t half, i64 at) {
      return row(half, n.multiplier + at, n.exponent + at, n.addend + at);
    };
    const int16x8_t made =
        limits(joined(codes(vget_low_s16(v), c), codes(vget_high_s16(v), c + 4)));
    const i64 at = target * n.out_row + c;
    if (n.out_type == kU8) vst1_u8(static_cast<u8*>(n.out) + at, vqmovun_s16(made));
    else vst1q_s16(static_cast<i16*>(n.out) + at, made);
  }
  return true;
}

}  // namespace
}  // namespace iptq
