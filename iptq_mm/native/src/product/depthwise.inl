// Convolutions of each channel by itself.
#pragma once

#include "product/panels.h"

namespace iptq {
namespace {

// Adds a tap's products of bytes.
inline void add_products(const u8* __restrict x, const i8* __restrict weights,
                         i64 columns, i32* __restrict sums) {
  for (i64 c = 0; c < columns; ++c) sums[c] += x[c] * weights[c];
}

// Sums of `columns` channels from `column` on; weights lie by taps.
inline void depthwise_tile(const Gemm& g, const char* const* a, i64 rows, i64 column,
                           i64 columns, i32* sums) {
  const i64 distance = ceil_div(g.n, kLanes) * kLanes;
  for (i64 i = 0; i < rows; ++i) {
    i32* row = sums + i * kTileColumns;
    for (i64 c = 0; c < columns; ++c) row[c] = g.start[column + c];
    for (i64 t = 0; t < g.taps; ++t) {
      const u8* x = reinterpret_cast<const u8*>(a[t * kTileRows + i]) + column;
      add_products(x, g.weights + t * distance + column, columns, row);
    }
  }
}

}  // namespace
}  // namespace iptq
