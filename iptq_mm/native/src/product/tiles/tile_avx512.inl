// Register tiles of byte products, or of int16: for probabilities and rows of 16 bits.
#pragma once

#include <immintrin.h>

#include "product/form_plain.inl"

namespace iptq {
namespace {

constexpr bool kByteProducts = true;

// Inline assembly, since compilers spill accumulators around the intrinsics.
template <bool Bytes>
inline void multiply_add(__m512i& sum, __m512i a, __m512i b) {
  if constexpr (Bytes)
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  else
    asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
}

// out = start + a b: `a` points at rows of dwords (4 bytes or 2 int16) for each tap,
// `b` is a panel. Starts lie by columns (`start_row` 0), or like the results.
template <int Rows, int Width, bool Bytes>
void tile(const char* const* a, i64 taps, const char* b, i64 groups, const i32* start,
          i64 start_row, i32* out, i64 out_row) {
  __m512i sum[Rows][Width];
#pragma GCC unroll 6
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j)
      sum[i][j] = _mm512_loadu_si512(start + i * start_row + kLanes * j);
  for (i64 t = 0; t < taps; ++t, a += kTileRows) {
    const char* row[Rows];
#pragma GCC unroll 6
    for (int i = 0; i < Rows; ++i) row[i] = a[i];
    for (i64 g = 0; g < groups; ++g) {
      __m512i weight[Width];
#pragma GCC unroll 4
      for (int j = 0; j < Width; ++j) weight[j] = _mm512_loadu_si512(b + 64 * j);
#pragma GCC unroll 6
      for (int i = 0; i < Rows; ++i) {
        i32 dword;
        __builtin_memcpy(&dword, row[i] + 4 * g, 4);
        __m512i value = _mm512_set1_epi32(dword);
#pragma GCC unroll 4
        for (int j = 0; j < Width; ++j)
          multiply_add<Bytes>(sum[i][j], value, weight[j]);
      }
      b += 64 * Width;
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j)
      _mm512_storeu_si512(out + i * out_row + kLanes * j, sum[i][j]);
}

}  // namespace
}  // namespace iptq
