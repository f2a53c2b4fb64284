// The epilogue of the quick form, (4) to (7) in epilogue.inl, 16 columns at a time.
//
// sqdmull doubles the product, so that a shift of accumulators to the left is one less:
//
//   H = (2 * (acc << (up - 1)) * multiplier + (offset' << up)) >> 32
//
// Where up is 0, both summands are doubled, and the shift is one more.
#pragma once

#include "arithmetic.inl"
#include "epilogue/line_neon.inl"
#include "epilogue/targets.inl"
#include "epilogue/word_sums_neon.inl"

namespace iptq {
namespace {

inline void post_row(const Gemm& g, i32* codes, i64 row, i64 column, i64 count);

// Functions whose registers compilers would spill if they were one.
#define IPTQ_APART __attribute__((noinline))

// The constants of a panel's columns in their order.
struct PanelConstants {
  alignas(64) i32 multiplier[kTileColumns], shift[kTileColumns], left[kTileColumns];
  alignas(64) i64 offset[kTileColumns];
  bool moves;

  void prepare(const Gemm& g, i64 column, i64 width) {
    moves = false;
    for (i64 c = 0; g.quick && c < width * kLanes; c += kLanes)
      prepare_vector(g, column + c, c);
  }

 private:
  void prepare_vector(const Gemm& g, i64 at, i64 c) {
    const i64 *evens = g.multiplier + at, *odds = evens + kLanes / 2;
    for (i64 i = 0; i < kLanes / 2; i += 2) {
      const int32x2_t even = vmovn_s64(vld1q_s64(evens + i));
      const int32x2_t odd = vmovn_s64(vld1q_s64(odds + i));
      vst1q_s32(multiplier + c + 2 * i,
                vcombine_s32(vzip1_s32(even, odd), vzip2_s32(even, odd)));
    }
    for (i64 i = 0; i < kLanes; i += 4) {
      const int32x4_t up = g.up ? vld1q_s32(g.up + at + i) : vdupq_n_s32(0);
      const int32x4_t doubled = vreinterpretq_s32_u32(vceqzq_s32(up));  // or -1
      const int32x4_t moved = vsubq_s32(vsubq_s32(up, vdupq_n_s32(1)), doubled);
      moves = moves || (g.up && vmaxvq_s32(moved) > 0);
      vst1q_s32(left + c + i, moved);
      vst1q_s32(shift + c + i, vsubq_s32(doubled, vld1q_s32(g.shift + at + i)));
      const int64x2_t even = vld1q_s64(g.offset + at + i / 2);
      const int64x2_t odd = vld1q_s64(g.offset + at + kLanes / 2 + i / 2);
      const int32x4_t by = vnegq_s32(doubled);
      vst1q_s64(offset + c + i,
                vshlq_s64(vzip1q_s64(even, odd), vmovl_s32(vget_low_s32(by))));
      vst1q_s64(offset + c + i + 2, vshlq_s64(vzip2q_s64(even, odd), vmovl_high_s32(by)));
    }
  }
};

// Of 16 of them.
template <bool Moves>
struct SixteenChannels {
  int32x4x4_t multiplier, shift, left;
  int64x2x4_t first, second;  // offsets

  SixteenChannels(const PanelConstants& p, i64 at)
      : multiplier(vld1q_s32_x4(p.multiplier + at)),
        shift(vld1q_s32_x4(p.shift + at)),
        first(vld1q_s64_x4(p.offset + at)),
        second(vld1q_s64_x4(p.offset + at + 8)) {
    if (Moves) left = vld1q_s32_x4(p.left + at);
  }

  int32x4x4_t operator()(const i32* sums) const {
    int32x4x4_t x = vld1q_s32_x4(sums);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      if (Moves) x.val[i] = vshlq_s32(x.val[i], left.val[i]);
      const int32x4_t m = multiplier.val[i];
      const int64x2_t low = vqdmull_s32(vget_low_s32(x.val[i]), vget_low_s32(m));
      const int64x2_t high = vqdmull_high_s32(x.val[i], m);
      const auto& offset = i < 2 ? first : second;
      const int32x4_t h = vaddhn_high_s64(vaddhn_s64(low, offset.val[2 * i % 4]), high,
                                          offset.val[2 * i % 4 + 1]);
      x.val[i] = vshlq_s32(h, shift.val[i]);
    }
    return x;
  }
};

// Calls body(row of the tile, column within it, codes) for 16 codes at a time.
template <bool Moves, class Body>
__attribute__((always_inline)) inline void requantize(const PanelConstants& p,
                                                      const Targets& t, i64 width,
                                                      const Body& body) {
  const i64 rows = t.count, columns = width * kLanes;
#pragma GCC unroll 1
  for (i64 c = 0; c < columns; c += kLanes) {
    const SixteenChannels<Moves> channels(p, c);
#pragma GCC unroll 1
    for (i64 r = 0; r < rows; ++r) body(r, c, channels(t.sums[r] + c));
  }
}

template <class Body>
inline void requantize(const PanelConstants& p, const Targets& t, i64 width,
                       const Body& body) {
  if (p.moves) requantize<true>(p, t, width, body);
  else requantize<false>(p, t, width, body);
}

// Codes of a tile in words, which saturate.
struct TileWords {
  alignas(64) i16 at[kTileRows][kTileColumns];

  IPTQ_APART TileWords(const PanelConstants& p, const Targets& t, i64 width) {
    requantize(p, t, width, [&](i64 r, i64 c, const int32x4x4_t& x) {
      store_pair(joined(x.val[0], x.val[1]), joined(x.val[2], x.val[3]), at[r] + c);
    });
  }
};

// Where a tile's rows go: copies of what a compiler would read again after each store.
template <class T>
struct Output {
  T* row[kTileRows];
  i64 left;  // columns

  Output(const Gemm& g, const Targets& t, i64 column) : left(g.n - column) {
    for (i64 r = 0; r < t.count; ++r)
      row[r] = static_cast<T*>(g.out) + t.target[r] * g.out_row + column;
  }
};

inline void store(uint8x16_t x, const Output<u8>& out, i64 r, i64 c) {
  store_bytes(x, out.row[r] + c, out.left - c);
}

inline void store(int16x8_t low, int16x8_t high, const Output<i16>& out, i64 r, i64 c) {
  store_words(low, high, out.row[r] + c, out.left - c);
}

// Calls make(two registers of words, row of the tile, column within it).
template <class Make>
__attribute__((always_inline)) inline void from_words(const PanelConstants& p,
                                                      const Targets& t, i64 width,
                                                      const Make& make) {
  const TileWords words(p, t, width);
  const i64 rows = t.count, columns = width * kLanes;
#pragma GCC unroll 1
  for (i64 r = 0; r < rows; ++r)
#pragma GCC unroll 1
    for (i64 c = 0; c < columns; c += kLanes) {
      const int16x8x2_t x = vld1q_s16_x2(words.at[r] + c);
      make(x.val[0], x.val[1], r, c);
    }
}

IPTQ_APART void finish_bytes(const Gemm& g, const PanelConstants& p, const Targets& t,
                         i64 column, i64 width) {
  const ByteLimits limits(g.low, g.high);
  const Output<u8> out(g, t, column);
  requantize(p, t, width, [=](i64 r, i64 c, const int32x4x4_t& x) {
    const int16x8_t low = joined(x.val[0], x.val[1]), high = joined(x.val[2], x.val[3]);
    store(limits.always(joined(low, high)), out, r, c);
  });
}

IPTQ_APART void finish_line(const Gemm& g, const PanelConstants& p, const Targets& t,
                        i64 column, i64 width) {
  const LineVector line(g.line);
  const Output<u8> out(g, t, column);
  const WordLimits limits(g.low, g.high);
  const bool limited = g.low > -INT16_MAX || g.high < INT16_MAX;
  from_words(p, t, width, [=](int16x8_t a, int16x8_t b, i64 r, i64 c) {
    if (limited) {
      a = limits(a);
      b = limits(b);
    }
    store(line(a, b), out, r, c);
  });
}

// A table of bytes by bytes: codes less the lowest one.
IPTQ_APART void finish_table(const Gemm& g, const PanelConstants& p, const Targets& t,
                         i64 column, i64 width) {
  const ByteTable table(g.table);
  const WordLimits limits(g.low, g.high);
  const Output<u8> out(g, t, column);
  const int16x8_t low = vdupq_n_s16(static_cast<i16>(g.low));
  from_words(p, t, width, [=](int16x8_t a, int16x8_t b, i64 r, i64 c) {
    store(table(joined(vsubq_s16(limits(a), low), vsubq_s16(limits(b), low))), out, r, c);
  });
}

IPTQ_APART void finish_words(const Gemm& g, const PanelConstants& p, const Targets& t,
                         i64 column, i64 width) {
  const WordLimits limits(g.low, g.high);
  const Output<i16> out(g, t, column);
  from_words(p, t, width, [=](int16x8_t a, int16x8_t b, i64 r, i64 c) {
    store(limits(a), limits(b), out, r, c);
  });
}

IPTQ_APART void finish_word_sums(const Gemm& g, const PanelConstants& p, const Targets& t,
                             i64 column, i64 width) {
  const WordLimits limits(g.low, g.high);
  const WordSum sum(g.sum);
  const Output<i16> out(g, t, column);
  const i16* residual[kTileRows];
  for (i64 r = 0; r < t.count; ++r) residual[r] = residual_of(g, t.target[r]) + column;
  from_words(p, t, width, [=](int16x8_t a, int16x8_t b, i64 r, i64 c) {
    const int16x8x2_t other = vld1q_s16_x2(residual[r] + c);
    store(sum(limits(a), other.val[0]), sum(limits(b), other.val[1]), out, r, c);
  });
}

// Whatever follows, in 32 bits.
IPTQ_APART void finish_any(const Gemm& g, const PanelConstants& p, const Targets& t, i64 column,
                       i64 width) {
  alignas(64) i32 codes[kTileRows][kTileColumns];
  const int32x4_t low = vdupq_n_s32(static_cast<i32>(g.low));
  const int32x4_t high = vdupq_n_s32(static_cast<i32>(g.high));
  requantize(p, t, width, [&](i64 r, i64 c, int32x4x4_t x) {
    for (int i = 0; i < 4; ++i) x.val[i] = vmaxq_s32(low, vminq_s32(high, x.val[i]));
    for (int i = 0; i < 4; ++i) vst1q_s32(codes[r] + c + 4 * i, x.val[i]);
  });
  const i64 padded = width * kLanes;
  const i64 count = g.n - column < padded ? g.n - column : padded;
  for (i64 r = 0; r < t.count; ++r) post_row(g, codes[r], t.target[r], column, count);
}

inline bool finish_quickly(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column,
                           i64 width, const PanelConstants& p) {
  if (!g.quick) return false;
  const Targets t(g, sums, row, rows);
  const bool words = within_words(g.low, g.high);
  if (g.out_type == kU8 && g.post == kNothing && within_bytes(g.low, g.high))
    finish_bytes(g, p, t, column, width);
  else if (g.out_type == kU8 && g.post == kTable && words && LineVector::fits(g.line))
    finish_line(g, p, t, column, width);
  else if (g.out_type == kU8 && g.post == kTable && g.table_type == kU8 && words &&
           g.high - g.low < 256)
    finish_table(g, p, t, column, width);
  else if (g.out_type == kI16 && g.post == kNothing && words)
    finish_words(g, p, t, column, width);
  else if (g.out_type == kI16 && g.post == kAdd && words && WordSum::fits(g.sum))
    finish_word_sums(g, p, t, column, width);
  else
    finish_any(g, p, t, column, width);
  return true;
}

// Sums of two rows; the first one becomes the result.
inline void add_rows(const Sum& s, i32* a, const i32* b, i64 count) {
  for (i64 i = 0; i < count; ++i) a[i] = add_requantized(a[i], b[i], s);
}

}  // namespace
}  // namespace iptq
