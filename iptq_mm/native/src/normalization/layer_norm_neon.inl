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
  for (; c + 16 <= size; c += 16) {
    const int16x8x2_t v = vld1q_s16_x2(x + c);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      total = vpadalq_s16(total, v.val[i]);
      const int32x4_t low = vmull_s16(vget_low_s16(v.val[i]), vget_low_s16(v.val[i]));
      // Up to 2**31: without a sign.
      const int32x4_t both = vmlal_high_s16(low, v.val[i], v.val[i]);
      squares = vpadalq_u32(squares, vreinterpretq_u32_s32(both));
    }
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
// and the second product's shift is at least 32. Words saturate as in channels_neon.inl.
struct NormVector {
  int16x8_t factor;
  int32x4_t centre, high, low, shift;

  static bool fits(const LayerNorm& n, i64 factor, i64 centre, i64 reciprocal) {
    const bool limits = n.out_type == kU8    ? within_bytes(n.low, n.high)
                        : n.out_type == kI16 ? within_words(n.low, n.high)
                                             : false;
    return limits && n.drop >= 0 && n.drop <= 31 && n.shift >= 32 && n.shift < 64 &&
           factor <= INT16_MAX &&
           static_cast<i32>(centre) == centre && reciprocal >> n.drop <= INT32_MAX;
  }

  NormVector(const LayerNorm& n, i64 factor, i64 centre, i64 reciprocal)
      : factor(vdupq_n_s16(static_cast<i16>(factor))),
        centre(vdupq_n_s32(static_cast<i32>(centre))),
        high(vdupq_n_s32(static_cast<i32>(reciprocal >> n.drop))),
        low(vdupq_n_s32(static_cast<i32>(
            (reciprocal & ((i64{1} << n.drop) - 1)) << (31 - n.drop)))),
        shift(vdupq_n_s32(static_cast<i32>(48 - n.shift))) {}

  // Dwords whose upper halves are codes.
  int16x8_t codes(int32x4_t product, int32x4_t gamma, int64x2_t first,
                  int64x2_t second) const {
    const int32x4_t y = vsubq_s32(product, centre);
    const int32x4_t z = vmlaq_s32(vqdmulhq_s32(y, low), y, high);
    const int64x2_t even = vmull_s32(vget_low_s32(z), vget_low_s32(gamma));
    const int64x2_t odd = vmull_high_s32(z, gamma);
    const int32x4_t upper = vaddhn_high_s64(vaddhn_s64(even, first), odd, second);
    return vreinterpretq_s16_s32(vqshlq_s32(upper, shift));
  }

  int16x8_t operator()(const i16* x, const i32* gamma, const i64* beta) const {
    const int16x8_t v = vld1q_s16(x);
    const int32x4x2_t g = vld1q_s32_x2(gamma);
    const int64x2x4_t b = vld1q_s64_x4(beta);
    const int32x4_t low = vmull_s16(vget_low_s16(v), vget_low_s16(factor));
    const int32x4_t high = vmull_high_s16(v, factor);
    return vuzp2q_s16(codes(low, g.val[0], b.val[0], b.val[1]),
                      codes(high, g.val[1], b.val[2], b.val[3]));
  }
};

// gamma * y / root + beta, to codes; y = x * factor - centre.
inline void normalized(const LayerNorm& n, const i16* x, i64 factor, i64 centre,
                       i64 reciprocal, i64 target) {
  if (n.size % 16 || !NormVector::fits(n, factor, centre, reciprocal))
    return any_normalized(n, x, 0, factor, centre, reciprocal, target);
  const NormVector row(n, factor, centre, reciprocal);
  const i32* gamma = n.multiplier;
  const i64 *beta = n.addend, size = n.size, at = target * n.out_row;
  if (n.out_type == kU8) {
    const ByteLimits limits(n.low, n.high);
    u8* to = static_cast<u8*>(n.out) + at;
    for (i64 c = 0; c < size; c += 16)
      vst1q_u8(to + c, limits.always(joined(row(x + c, gamma + c, beta + c),
                                            row(x + c + 8, gamma + c + 8, beta + c + 8))));
  } else {
    const WordLimits limits(n.low, n.high);
    i16* to = static_cast<i16*>(n.out) + at;
    for (i64 c = 0; c < size; c += 8)
      vst1q_s16(to + c, limits(row(x + c, gamma + c, beta + c)));
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
  int16x8_t factor;
  int32x4_t centre, mantissa, up;

  PowerVector(i64 factor, i64 centre, i64 mantissa, i64 shift)
      : factor(vdupq_n_s16(static_cast<i16>(factor))),
        centre(vdupq_n_s32(static_cast<i32>(centre))),
        mantissa(vdupq_n_s32(static_cast<i32>(mantissa))),
        up(vdupq_n_s32(static_cast<i32>(24 - shift))) {}

  // 4 codes in the upper halves of dwords, which saturate, of x * factor. Shifts to the
  // right are negative: those by `cut`, and what is left of 24 bits.
  int16x8_t codes(int32x4_t x, int32x4_t f, int32x4_t exponent, int32x4_t addend) const {
    const int32x4_t product = vmulq_s32(vabsq_s32(f), mantissa);
    const int32x4_t cut = vsubq_s32(vdupq_n_s32(-21), vshrq_n_s32(product, 29));
    const int32x4_t size = vrshlq_s32(product, cut);
    int32x4_t y = vsubq_s32(x, centre);
    y = vbslq_s32(vcltzq_s32(f), vnegq_s32(y), y);
    int32x4_t left = vsubq_s32(vaddq_s32(up, exponent), cut);
    left = vmaxq_s32(vdupq_n_s32(24 - 62), vminq_s32(vdupq_n_s32(24), left));
    const int32x4_t wide = vqshlq_s32(vmulq_s32(size, y), left);
    return vreinterpretq_s16_s32(vqaddq_s32(wide, addend));
  }

  int16x8_t operator()(int16x8_t x, const i32* multiplier, const i32* exponent,
                       const i64* addend) const {
    const int32x4x2_t f = vld1q_s32_x2(multiplier), e = vld1q_s32_x2(exponent);
    const int64x2x4_t beta = vld1q_s64_x4(addend);
    const auto narrow = [](int64x2_t a, int64x2_t b) {
      return vuzp1q_s32(vreinterpretq_s32_s64(a), vreinterpretq_s32_s64(b));
    };
    return vuzp2q_s16(codes(vmull_s16(vget_low_s16(x), vget_low_s16(factor)), f.val[0],
                            e.val[0], narrow(beta.val[0], beta.val[1])),
                      codes(vmull_high_s16(x, factor), f.val[1], e.val[1],
                            narrow(beta.val[2], beta.val[3])));
  }
};

inline bool scaled_quickly(const LayerNorm& n, const i16* x, i64 factor, i64 centre,
                           i64 mantissa, i64 shift, i64 target) {
  if (static_cast<i32>(centre) != centre) return false;
  const PowerVector row(factor, centre, mantissa, shift);
  const WordLimits limits(n.low, n.high);
  const i32 *multiplier = n.multiplier, *exponent = n.exponent;
  const i64 *addend = n.addend, size = n.size, at = target * n.out_row;
  const auto codes = [=](i64 c) __attribute__((always_inline)) {
    return limits(row(vld1q_s16(x + c), multiplier + c, exponent + c, addend + c));
  };
  if (n.out_type == kU8) {
    u8* to = static_cast<u8*>(n.out) + at;
    for (i64 c = 0; c < size; c += 8) vst1_u8(to + c, vqmovun_s16(codes(c)));
  } else {
    i16* to = static_cast<i16*>(n.out) + at;
    for (i64 c = 0; c < size; c += 8) vst1q_s16(to + c, codes(c));
  }
  return true;
}

}  // namespace
}  // namespace iptq
