// The requantization of the quick form, (4) of epilogue.inl, 16 columns at a time.
//
// sqdmull doubles the product, so that a shift of accumulators to the left is one less:
//
//   H = (2 * (acc << (up - 1)) * multiplier + (offset' << up)) >> 32
//
// Where up is 0, both summands are doubled, and the shift is one more. Words that saturate
// are upper halves of dwords that saturate:
//
//   word(H >> shift) = dword(H << (16 - shift)) >> 16                          (1)
#pragma once

#include "arithmetic.inl"
#include "epilogue/targets.inl"
#include "isa/vectors_neon.inl"

namespace iptq {
namespace {

// The constants of 16 columns in their order. Shifts to the left are those of (1).
struct ColumnConstants {
  i32 multiplier[kLanes], left[kLanes], shift[kLanes];
  i64 offset[kLanes];

  void prepare(const Gemm& g, i64 at) {
    const i64 *evens = g.multiplier + at, *odds = evens + kLanes / 2;
    for (i64 i = 0; i < kLanes / 2; i += 2) {
      const int32x2_t even = vmovn_s64(vld1q_s64(evens + i));
      const int32x2_t odd = vmovn_s64(vld1q_s64(odds + i));
      vst1q_s32(multiplier + 2 * i, vcombine_s32(vzip1_s32(even, odd), vzip2_s32(even, odd)));
    }
    for (i64 i = 0; i < kLanes; i += 4) {
      const int32x4_t up = g.up ? vld1q_s32(g.up + at + i) : vdupq_n_s32(0);
      const int32x4_t doubled = vreinterpretq_s32_u32(vceqzq_s32(up));  // or -1
      vst1q_s32(left + i, vsubq_s32(vsubq_s32(up, vdupq_n_s32(1)), doubled));
      const int32x4_t down = vsubq_s32(vld1q_s32(g.shift + at + i), doubled);
      vst1q_s32(shift + i, vsubq_s32(vdupq_n_s32(16), down));
      const int64x2_t even = vld1q_s64(g.offset + at + i / 2);
      const int64x2_t odd = vld1q_s64(g.offset + at + kLanes / 2 + i / 2);
      const int32x4_t by = vnegq_s32(doubled);
      vst1q_s64(offset + i, vshlq_s64(vzip1q_s64(even, odd), vmovl_s32(vget_low_s32(by))));
      vst1q_s64(offset + i + 2, vshlq_s64(vzip2q_s64(even, odd), vmovl_high_s32(by)));
    }
  }

  bool moves() const {
    const int32x4x4_t x = vld1q_s32_x4(left);
    return vmaxvq_s32(vmaxq_s32(vmaxq_s32(x.val[0], x.val[1]),
                                vmaxq_s32(x.val[2], x.val[3]))) > 0;
  }
};

// Those of a panel.
struct PanelChannels {
  alignas(64) ColumnConstants columns[kMaxWidth];
  bool moves;  // whether any accumulators are shifted to the left

  void prepare(const Gemm& g, i64 column, i64 width) {
    moves = false;
    for (i64 i = 0; i < width; ++i) {
      columns[i].prepare(g, column + kLanes * i);
      moves = moves || columns[i].moves();
    }
  }
};

// Those of 16 columns in registers.
template <bool Moves>
struct SixteenChannels {
  int32x4_t multiplier[4], shift[4], left[4];
  int64x2_t offset[8];

  __attribute__((always_inline)) explicit SixteenChannels(const ColumnConstants& c) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      multiplier[i] = vld1q_s32(c.multiplier + 4 * i);
      shift[i] = vld1q_s32(c.shift + 4 * i);
      left[i] = Moves ? vld1q_s32(c.left + 4 * i) : vdupq_n_s32(0);
      offset[2 * i] = vld1q_s64(c.offset + 4 * i);
      offset[2 * i + 1] = vld1q_s64(c.offset + 4 * i + 2);
    }
  }

  // Upper halves of 64 bits.
  __attribute__((always_inline)) int32x4_t upper(int32x4_t x, int i) const {
    if (Moves) x = vshlq_s32(x, left[i]);
    const int64x2_t low = vqdmull_s32(vget_low_s32(x), vget_low_s32(multiplier[i]));
    const int64x2_t high = vqdmull_high_s32(x, multiplier[i]);
    return vaddhn_high_s64(vaddhn_s64(low, offset[2 * i]), high, offset[2 * i + 1]);
  }

  // Compilers would keep copies of lower halves if these never changed.
  __attribute__((always_inline)) void change() {
    asm volatile(""
                 : "+w"(multiplier[0]), "+w"(multiplier[1]), "+w"(multiplier[2]),
                   "+w"(multiplier[3]));
  }

  // The codes of 16 sums: words.
  __attribute__((always_inline)) int16x8x2_t words(const i32* sums) const {
    int16x8_t made[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int32x4_t x = vqshlq_s32(upper(vld1q_s32(sums + 4 * i), i), shift[i]);
      made[i] = vreinterpretq_s16_s32(x);
    }
    return {{vuzp2q_s16(made[0], made[1]), vuzp2q_s16(made[2], made[3])}};
  }

  // And dwords.
  __attribute__((always_inline)) int32x4x4_t dwords(const i32* sums) const {
    int32x4x4_t x = vld1q_s32_x4(sums);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int32x4_t right = vsubq_s32(shift[i], vdupq_n_s32(16));
      x.val[i] = vshlq_s32(upper(x.val[i], i), right);
    }
    return x;
  }
};

// A tile: where its sums are, which rows and columns of the product they are.
struct TilePlace {
  const i32* sums;
  i64 row, rows, column, width;
};

// Calls body(channels, sums of 16 columns, row of the tile, first of the columns), for two
// rows at a time: of an odd number, the last one has a partner that goes nowhere.
template <bool Moves, class Body>
__attribute__((always_inline)) inline void requantize(const PanelChannels& p,
                                                      const TilePlace& t, const Body& body) {
  const i64 rows = t.rows, columns = t.width * kLanes;
  const i32* first = t.sums;
  const ColumnConstants* constants = p.columns;
#pragma GCC unroll 1
  for (i64 c = 0; c < columns; c += kLanes, first += kLanes) {
    SixteenChannels<Moves> channels(*constants++);
    const i32* sums = first;
#pragma GCC unroll 1
    for (i64 r = 0; r < rows; r += 2, sums += 2 * kTileColumns) {
      channels.change();
      body(channels, sums, r, c);
      body(channels, sums + kTileColumns, r + 1, c);
    }
  }
}

// Calls body(two registers of words, row of the tile, column within it) for 16 codes at a
// time.
template <class Body>
__attribute__((always_inline)) inline void requantize_to_words(const PanelChannels& p,
                                                               const TilePlace& t,
                                                               const Body& body) {
  const auto each = [=](const auto& channels, const i32* sums, i64 r, i64 c)
                        __attribute__((always_inline)) {
    const int16x8x2_t x = channels.words(sums);
    body(x.val[0], x.val[1], r, c);
  };
  if (p.moves) requantize<true>(p, t, each);
  else requantize<false>(p, t, each);
}

}  // namespace
}  // namespace iptq
