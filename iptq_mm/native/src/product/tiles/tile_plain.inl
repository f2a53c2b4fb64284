// Register tiles of int16 products for compilers to vectorize, sixteen columns at a time:
// pmaddwd with SSE2, whatever there is elsewhere.
#pragma once

#include "product/form_plain.inl"

namespace iptq {
namespace {

constexpr bool kByteProducts = false;

template <int Rows>
void strip(const char* const* a, i64 taps, const char* b, i64 step, i64 groups,
           const i32* start, i64 start_row, i32* out, i64 out_row) {
  for (int i = 0; i < Rows; ++i) {
    // Unsigned, since sums may wrap on their way to a result that fits.
    u32 sum[kLanes];
    for (int c = 0; c < kLanes; ++c) sum[c] = static_cast<u32>(start[i * start_row + c]);
    for (i64 t = 0; t < taps; ++t) {
      const char *from = a[t * kTileRows + i], *weights = b + t * groups * step;
      for (i64 g = 0; g < groups; ++g) {
        i16 x[2], w[2 * kLanes];
        __builtin_memcpy(x, from + 4 * g, sizeof x);
        __builtin_memcpy(w, weights + step * g, sizeof w);
        for (int c = 0; c < kLanes; ++c) {
          // Each is below 2**30 in magnitude; so is not their sum.
          sum[c] += static_cast<u32>(x[0] * w[2 * c]);
          sum[c] += static_cast<u32>(x[1] * w[2 * c + 1]);
        }
      }
    }
    __builtin_memcpy(out + i * out_row, sum, sizeof sum);
  }
}

// out = start + a b: `a` points at rows of pairs of int16 for each tap, `b` is a panel
// of them. Starts lie by columns (`start_row` 0), or like the results.
template <int Rows, int Width, bool Bytes>
void tile(const char* const* a, i64 taps, const char* b, i64 groups, const i32* start,
          i64 start_row, i32* out, i64 out_row) {
  static_assert(!Bytes, "products of bytes are made of int16 here");
  for (int j = 0; j < Width; ++j)
    strip<Rows>(a, taps, b + 64 * j, 64 * Width, groups, start + kLanes * j, start_row,
                out + kLanes * j, out_row);
}

}  // namespace
}  // namespace iptq
