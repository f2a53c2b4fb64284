// What follows the requantization of channels_neon.inl, 16 columns at a time.
#pragma once

#include "epilogue/channels_neon.inl"
#include "epilogue/dword_sums_neon.inl"
#include "epilogue/lines/line_neon.inl"
#include "epilogue/word_sums_neon.inl"

namespace iptq {
namespace {

inline void post_row(const Gemm& g, i32* codes, i64 row, i64 column, i64 count);

// Functions whose registers compilers would spill if they were one.
#define IPTQ_APART __attribute__((noinline))

// What a panel's epilogue needs, and the one that it is.
struct PanelConstants : PanelChannels {
  LineTables lines;
  void (*finish)(const Gemm&, const PanelConstants&, const TilePlace&);

  void prepare(const Gemm& g, i64 column, i64 width);
};

// Codes of a tile in words, which saturate.
struct TileWords {
  alignas(64) i16 at[kTileRows][kTileColumns];

  IPTQ_APART TileWords(const PanelChannels& p, const TilePlace& t) {
    requantize_to_words(p, t, [this](int16x8_t a, int16x8_t b, i64 r, i64 c) {
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
// and copied from there; those that go nowhere stay in it.
template <class T>
class Output {
 public:
  T* row[kTileRows];
  i64 target[kTileRows];  // row of the result, or -1

  Output(const Gemm& g, const TilePlace& t)
      : rows_(t.rows), columns_(t.width * kLanes), left_(g.n - t.column) {
    T* const first = static_cast<T*>(g.out) + t.column;
    const i64 rows = rows_;
    for (i64 r = 0; r < rows; ++r) {
      target[r] = target_of(g, t.row + r);
      row[r] = target[r] < 0 ? spare_[r] : first + target[r] * g.out_row;
    }
    if (rows % 2) row[rows] = spare_[rows];
    if (left_ >= columns_) return;
    for (i64 r = 0; r < rows; ++r) {
      end_[r] = row[r];
      row[r] = spare_[r];
    }
  }

  ~Output() {
    if (left_ >= columns_) return;
    for (i64 r = 0; r < rows_; ++r)
      if (target[r] >= 0) store_first(spare_[r], end_[r], left_);
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
  mutable T spare_[kTileRows][kTileColumns];
};

IPTQ_APART void finish_bytes(const Gemm& g, const PanelConstants& p, const TilePlace& t) {
  const ByteLimits limits(g.low, g.high);
  const Output<u8> out(g, t);
  u8* const* to = out.row;
  requantize_to_words(p, t, [=](int16x8_t a, int16x8_t b, i64 r, i64 c) {
    vst1q_u8(to[r] + c, limits.always(joined(a, b)));
  });
}

// A table of bytes by bytes: codes less the lowest one, which lie where results will.
IPTQ_APART void finish_table(const Gemm& g, const PanelConstants& p, const TilePlace& t) {
  const int16x8_t low = vdupq_n_s16(static_cast<i16>(g.low));
  const uint8x16_t last = vdupq_n_u8(static_cast<u8>(g.high - g.low));
  const Output<u8> out(g, t);
  u8* const* to = out.row;
  requantize_to_words(p, t, [=](int16x8_t a, int16x8_t b, i64 r, i64 c) {
    vst1q_u8(to[r] + c, vminq_u8(last, joined(vqsubq_s16(a, low), vqsubq_s16(b, low))));
  });
  const ByteTable table(g.table);
  out.each([=](i64, i64, u8* at) { vst1q_u8(at, table(vld1q_u8(at))); });
}

IPTQ_APART void finish_line(const Gemm& g, const PanelConstants& p, const TilePlace& t) {
  TileWords words(p, t);
  // Of all words but the least, which is far beyond the table, nothing is limited.
  if (g.low > -INT16_MAX || g.high < INT16_MAX) words.limit(WordLimits(g.low, g.high));
  const LineVector line(g.line, p.lines);
  const Output<u8> out(g, t);
  out.each([&, line](i64 r, i64 c, u8* to) {
    const int16x8x2_t x = vld1q_s16_x2(words.at[r] + c);
    vst1q_u8(to, line(x.val[0], x.val[1]));
  });
  const ByteLimits limits(g.line.low, g.line.high);
  if (!limits.needed) return;
  out.each([=](i64, i64, u8* to) { vst1q_u8(to, limits.always(vld1q_u8(to))); });
}

IPTQ_APART void finish_words(const Gemm& g, const PanelConstants& p, const TilePlace& t) {
  const WordLimits limits(g.low, g.high);
  const Output<i16> out(g, t);
  i16* const* to = out.row;
  requantize_to_words(p, t, [=](int16x8_t a, int16x8_t b, i64 r, i64 c) {
    store_pair(limits(a), limits(b), to[r] + c);
  });
}

IPTQ_APART void finish_word_sums(const Gemm& g, const PanelConstants& p,
                                 const TilePlace& t) {
  const TileWords words(p, t);
  const WordLimits limits(g.low, g.high);
  const WordSum sum(g.sum);
  const Output<i16> out(g, t);
  const i16* residual[kTileRows];
  for (i64 r = 0; r < t.rows; ++r)
    residual[r] = out.target[r] < 0 ? out.row[r] : residual_of(g, out.target[r]) + t.column;
  out.each([&, limits, sum](i64 r, i64 c, i16* to) {
    const int16x8x2_t x = vld1q_s16_x2(words.at[r] + c);
    const int16x8x2_t other = vld1q_s16_x2(residual[r] + c);
    store_pair(sum(limits(x.val[0]), other.val[0]), sum(limits(x.val[1]), other.val[1]), to);
  });
}

// Whatever follows, in 32 bits.
IPTQ_APART void finish_any(const Gemm& g, const PanelConstants& p, const TilePlace& t) {
  alignas(64) i32 codes[kTileRows][kTileColumns];
  const int32x4_t low = vdupq_n_s32(static_cast<i32>(g.low));
  const int32x4_t high = vdupq_n_s32(static_cast<i32>(g.high));
  requantize<true>(p, t, [&](const auto& channels, const i32* sums, i64 r, i64 c) {
    const int32x4x4_t x = channels.dwords(sums);
    for (int i = 0; i < 4; ++i)
      vst1q_s32(codes[r] + c + 4 * i, vmaxq_s32(low, vminq_s32(high, x.val[i])));
  });
  const i64 padded = t.width * kLanes, left = g.n - t.column;
  for (i64 r = 0; r < t.rows; ++r) {
    const i64 target = target_of(g, t.row + r);
    if (target >= 0) post_row(g, codes[r], target, t.column, left < padded ? left : padded);
  }
}

void PanelConstants::prepare(const Gemm& g, i64 column, i64 width) {
  if (!g.quick) return;
  PanelChannels::prepare(g, column, width);
  const bool words = within_words(g.low, g.high), table = g.post == kTable && words;
  finish = finish_any;
  if (g.out_type == kU8) {
    if (g.post == kNothing && within_bytes(g.low, g.high)) finish = finish_bytes;
    else if (table && LineVector::fits(g.line)) finish = finish_line;
    else if (table && g.table_type == kU8 && g.high - g.low < 256) finish = finish_table;
  } else if (g.out_type == kI16 && words) {
    if (g.post == kNothing) finish = finish_words;
    else if (g.post == kAdd && WordSum::fits(g.sum)) finish = finish_word_sums;
  }
  if (finish == finish_line)
    lines = {WordTable(g.line.table, 64), WordTable(g.line.slope, 64)};
}

inline bool finish_quickly(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column,
                           i64 width, const PanelConstants& p) {
  if (g.quick) p.finish(g, p, {sums, row, rows, column, width});
  return g.quick;
}

}  // namespace
}  // namespace iptq
