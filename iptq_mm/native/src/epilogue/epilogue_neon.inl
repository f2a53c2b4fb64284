// What follows the requantization of channels_neon.inl, 16 columns at a time.
#pragma once

#include "epilogue/channels_neon.inl"
#include "epilogue/line_neon.inl"
#include "epilogue/word_sums_neon.inl"

namespace iptq {
namespace {

inline void post_row(const Gemm& g, i32* codes, i64 row, i64 column, i64 count);

// Functions whose registers compilers would spill if they were one.
#define IPTQ_APART __attribute__((noinline))

// Codes of a tile in words, which saturate.
struct TileWords {
  alignas(64) i16 at[kTileRows][kTileColumns];

  IPTQ_APART TileWords(const PanelConstants& p, const Targets& t, i64 width) {
    requantize_to_words(p, t, width, [this](int16x8_t a, int16x8_t b, i64 r, i64 c) {
      store_pair(a, b, at[r] + c);
    });
  }

  IPTQ_APART void limit(const WordLimits& limits) {
    for (auto& row : at)
      for (i64 c = 0; c < kTileColumns; c += 8)
        vst1q_s16(row + c, limits(vld1q_s16(row + c)));
  }
};

// Where a tile's rows go. Those that end within a vector are made in memory of their own,
// and copied from there.
template <class T>
class Output {
 public:
  T* row[kTileRows];

  Output(const Gemm& g, const Targets& t, i64 column, i64 width)
      : rows_(t.count), columns_(width * kLanes), left_(g.n - column) {
    T* const first = static_cast<T*>(g.out) + column;
    for (i64 r = 0; r < t.count; ++r) row[r] = first + t.target[r] * g.out_row;
    if (left_ >= columns_) return;
    for (i64 r = 0; r < rows_; ++r) {
      end_[r] = row[r];
      row[r] = spare_[r];
    }
  }

  ~Output() {
    if (left_ >= columns_) return;
    for (i64 r = 0; r < rows_; ++r) store_first(spare_[r], end_[r], left_);
  }

  // Calls make(row of the tile, column within it, where it goes) for each 16 columns.
  template <class Make>
  __attribute__((always_inline)) void each(const Make& make) const {
    const i64 rows = rows_, columns = columns_;
#pragma GCC unroll 1
    for (i64 r = 0; r < rows; ++r) {
      T* to = row[r];
#pragma GCC unroll 1
      for (i64 c = 0; c < columns; c += kLanes) make(r, c, to + c);
    }
  }

 private:
  i64 rows_, columns_, left_;
  T* end_[kTileRows];
  T spare_[kTileRows][kTileColumns];
};

IPTQ_APART void finish_bytes(const Gemm& g, const PanelConstants& p, const Targets& t,
                             i64 column, i64 width) {
  const ByteLimits limits(g.low, g.high);
  const Output<u8> out(g, t, column, width);
  u8* const* to = out.row;
  requantize_to_words(p, t, width, [=](int16x8_t a, int16x8_t b, i64 r, i64 c) {
    vst1q_u8(to[r] + c, limits.always(joined(a, b)));
  });
}

// A table of bytes by bytes: codes less the lowest one, which lie where results will.
IPTQ_APART void finish_table(const Gemm& g, const PanelConstants& p, const Targets& t,
                             i64 column, i64 width) {
  const int16x8_t low = vdupq_n_s16(static_cast<i16>(g.low));
  const uint8x16_t last = vdupq_n_u8(static_cast<u8>(g.high - g.low));
  const Output<u8> out(g, t, column, width);
  u8* const* to = out.row;
  requantize_to_words(p, t, width, [=](int16x8_t a, int16x8_t b, i64 r, i64 c) {
    vst1q_u8(to[r] + c, vminq_u8(last, joined(vqsubq_s16(a, low), vqsubq_s16(b, low))));
  });
  const ByteTable table(g.table);
  out.each([=](i64, i64, u8* at) { vst1q_u8(at, table(vld1q_u8(at))); });
}

IPTQ_APART void finish_line(const Gemm& g, const PanelConstants& p, const Targets& t,
                            i64 column, i64 width) {
  TileWords words(p, t, width);
  // Of all words but the least, which is far beyond the table, nothing is limited.
  if (g.low > -INT16_MAX || g.high < INT16_MAX) words.limit(WordLimits(g.low, g.high));
  const LineVector line(g.line);
  const Output<u8> out(g, t, column, width);
  out.each([&, line](i64 r, i64 c, u8* to) {
    const int16x8x2_t x = vld1q_s16_x2(words.at[r] + c);
    vst1q_u8(to, line(x.val[0], x.val[1]));
  });
  const ByteLimits limits(g.line.low, g.line.high);
  if (!limits.needed) return;
  out.each([=](i64, i64, u8* to) { vst1q_u8(to, limits.always(vld1q_u8(to))); });
}

IPTQ_APART void finish_words(const Gemm& g, const PanelConstants& p, const Targets& t,
                             i64 column, i64 width) {
  const WordLimits limits(g.low, g.high);
  const Output<i16> out(g, t, column, width);
  i16* const* to = out.row;
  requantize_to_words(p, t, width, [=](int16x8_t a, int16x8_t b, i64 r, i64 c) {
    store_pair(limits(a), limits(b), to[r] + c);
  });
}

IPTQ_APART void finish_word_sums(const Gemm& g, const PanelConstants& p, const Targets& t,
                                 i64 column, i64 width) {
  const TileWords words(p, t, width);
  const WordLimits limits(g.low, g.high);
  const WordSum sum(g.sum);
  const Output<i16> out(g, t, column, width);
  const i16* residual[kTileRows];
  for (i64 r = 0; r < t.count; ++r) residual[r] = residual_of(g, t.target[r]) + column;
  out.each([&, limits, sum](i64 r, i64 c, i16* to) {
    const int16x8x2_t x = vld1q_s16_x2(words.at[r] + c);
    const int16x8x2_t other = vld1q_s16_x2(residual[r] + c);
    store_pair(sum(limits(x.val[0]), other.val[0]), sum(limits(x.val[1]), other.val[1]), to);
  });
}

// Whatever follows, in 32 bits.
IPTQ_APART void finish_any(const Gemm& g, const PanelConstants& p, const Targets& t,
                           i64 column, i64 width) {
  alignas(64) i32 codes[kTileRows][kTileColumns];
  const int32x4_t low = vdupq_n_s32(static_cast<i32>(g.low));
  const int32x4_t high = vdupq_n_s32(static_cast<i32>(g.high));
  requantize<true>(p, t, width, [&](const auto& channels, const i32* sums, i64 r, i64 c) {
    const int32x4x4_t x = channels.dwords(sums);
    for (int i = 0; i < 4; ++i)
      vst1q_s32(codes[r] + c + 4 * i, vmaxq_s32(low, vminq_s32(high, x.val[i])));
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
