// From a tile of accumulators to stored results.
#pragma once

#include "arithmetic.inl"
#include "epilogue/targets.inl"

namespace iptq {
namespace {

// The exact form for any constants: 64 bits throughout.
inline void requantize_row(const Gemm& g, const i32* sums, i64 column, i64 count,
                           i32* codes) {
  for (i64 c = 0; c < count; ++c) {
    i64 wide = sums[c] * g.multiplier[column + c] + g.offset[column + c];
    codes[c] = clamp(wide >> g.shift[column + c], g.low, g.high);
  }
}

// The quick form: shifts of 32 and more, so that the product's high half will do.
// Multipliers and offsets lie in blocks of 16 columns, even ones first.
inline void quick_row(const Gemm& g, const i32* sums, i64 column, i64 count,
                      i32* codes) {
  for (i64 block = 0; block < count; block += kLanes) {
    const i64 at = column + block;
    for (i64 i = 0; i < kLanes; ++i) {
      const i64 split = at + (i & 1) * (kLanes / 2) + i / 2;
      const u32 raw = static_cast<u32>(sums[block + i]);
      const i32 sum = static_cast<i32>(g.up ? raw << g.up[at + i] : raw);
      i64 wide = static_cast<i64>(sum) * static_cast<i32>(g.multiplier[split]);
      i32 high = static_cast<i32>((wide + g.offset[split]) >> 32);
      high >>= g.shift[at + i];
      const i32 low = static_cast<i32>(g.low), top = static_cast<i32>(g.high);
      codes[block + i] = high < low ? low : high > top ? top : high;
    }
  }
}

inline void store_codes(const i32* codes, i64 count, void* out, i64 type, i64 at) {
  write_row(type, 0, out, at, 1, count, codes);
}

// What follows a row's requantization.
inline void post_row(const Gemm& g, i32* codes, i64 row, i64 column, i64 count) {
  const i64 at = row * g.out_row + column;
  if (g.post == kTable) {
    const i64 low = g.low;
    if (g.table_type == kU8) {
      const u8* table = static_cast<const u8*>(g.table);
      for (i64 c = 0; c < count; ++c) codes[c] = table[codes[c] - low];
    } else {
      const i16* table = static_cast<const i16*>(g.table);
      for (i64 c = 0; c < count; ++c) codes[c] = table[codes[c] - low];
    }
  } else if (g.post == kAdd) {
    const i16* residual = residual_of(g, row) + column;
    for (i64 c = 0; c < count; ++c)
      codes[c] = add_requantized(codes[c], residual[c], g.sum);
  } else if (g.post == kRescale) {
    for (i64 c = 0; c < count; ++c) codes[c] = add_requantized(codes[c], 0, g.sum);
  }
  store_codes(codes, count, g.out, g.out_type, at);
}

// One tile: `width` vectors of columns, of which those beyond n are dropped.
void finish(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column, i64 width) {
  const i64 padded = width * kLanes;
  const i64 count = g.n - column < padded ? g.n - column : padded;
  if (finish_quickly(g, sums, row, rows, column, width)) return;
  for (i64 r = 0; r < rows; ++r) {
    const i64 target = target_of(g, row + r);
    if (target < 0) continue;
    alignas(64) i32 codes[kTileColumns];
    if (g.quick) quick_row(g, sums + r * kTileColumns, column, padded, codes);
    else requantize_row(g, sums + r * kTileColumns, column, padded, codes);
    post_row(g, codes, target, column, count);
  }
}

}  // namespace
}  // namespace iptq
