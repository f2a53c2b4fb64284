// Products of tables' entries, the exponentials of 16 differences; see exponentials.inl.
#pragma once

#include "isa/vectors_neon.inl"

namespace iptq {
namespace {

// The tables of a task, bytes of their words apart.
struct Tables {
  uint8x16x2_t fine_low, fine_high, medium_low, medium_high;
  WordTable mantissa;
  uint8x16x4_t exponent;  // negative
  uint8x16_t turned;      // byte 4 * i + j is 4 * j + i

  explicit Tables(const Softmax& s) {
    static const u8 turns[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    if (!s.fine) return;
    turned = vld1q_u8(turns);
    const WordTable fine(s.fine, 32), medium(s.medium, 32), shifts(s.exponent, 64);
    mantissa = WordTable(s.mantissa, 64);
    fine_low = {{fine.low.val[0], fine.low.val[1]}};
    fine_high = {{fine.high.val[0], fine.high.val[1]}};
    medium_low = {{medium.low.val[0], medium.low.val[1]}};
    medium_high = {{medium.high.val[0], medium.high.val[1]}};
    for (int i = 0; i < 4; ++i)
      exponent.val[i] = vsubq_u8(vdupq_n_u8(0), shifts.low.val[i]);
  }

  // Of differences to exponentials, which are below 2**31.
  __attribute__((always_inline)) uint32x4x4_t operator()(uint16x8_t a, uint16x8_t b) const {
    const auto bytes = [](uint16x8_t x) { return vreinterpretq_u8_u16(x); };
    const uint8x16_t five = vdupq_n_u8(31);
    const uint8x16_t lowest = vandq_u8(vuzp1q_u8(bytes(a), bytes(b)), five);
    const uint8x16_t next =
        vandq_u8(vshrn_high_n_u16(vshrn_n_u16(a, 5), b, 5), five);
    const uint8x16_t block = vshrq_n_u8(vuzp2q_u8(bytes(a), bytes(b)), 2);
    const uint8x16_t first[2] = {vqtbl2q_u8(fine_low, lowest), vqtbl2q_u8(fine_high, lowest)};
    const uint8x16_t second[2] = {vqtbl2q_u8(medium_low, next), vqtbl2q_u8(medium_high, next)};
    // A shift is the lowest byte of a lane; those above do not matter.
    const uint32x4_t shift =
        vreinterpretq_u32_u8(vqtbl4q_u8(exponent, vqtbl1q_u8(block, turned)));
    uint16x8_t third[2];
    mantissa(block, third[0], third[1]);
    uint32x4x4_t made;
    const auto half = [&](uint8x16_t x, uint8x16_t y, uint16x8_t z, uint32x4_t w,
                          uint32x4_t v, int at) {
      const uint16x8_t fine = vreinterpretq_u16_u8(x), medium = vreinterpretq_u16_u8(y);
      const uint32x4_t low = vmull_u16(vget_low_u16(fine), vget_low_u16(medium));
      const uint32x4_t high = vmull_high_u16(fine, medium);
      const uint16x8_t within =
          vuzp2q_u16(vreinterpretq_u16_u32(low), vreinterpretq_u16_u32(high));
      made.val[at] = vshlq_u32(vmull_u16(vget_low_u16(within), vget_low_u16(z)),
                               vreinterpretq_s32_u32(w));
      made.val[at + 1] = vshlq_u32(vmull_high_u16(within, z), vreinterpretq_s32_u32(v));
    };
    half(vzip1q_u8(first[0], first[1]), vzip1q_u8(second[0], second[1]), third[0], shift,
         vshrq_n_u32(shift, 8), 0);
    half(vzip2q_u8(first[0], first[1]), vzip2q_u8(second[0], second[1]), third[1],
         vshrq_n_u32(shift, 16), vshrq_n_u32(shift, 24), 2);
    return made;
  }
};

}  // namespace
}  // namespace iptq
