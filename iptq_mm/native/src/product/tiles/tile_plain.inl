// Register tiles of int16 products for compilers to vectorize. Sixteen columns at
// a time: vpmaddwd with AVX2, pmaddwd with SSE2, whatever there is elsewhere.
#pragma once

#include "product/form_plain.inl"
#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace iptq {
namespace {

constexpr bool kByteProducts = false;

#ifdef __AVX2__

template <int Rows>
void strip(const char* const* a, i64 taps, const char* b, i64 step, i64 groups,
           const i32* start, i64 start_row, i32* out, i64 out_row) {
  __m256i sum[Rows][2];
#pragma GCC unroll 6
  for (int i = 0; i < Rows; ++i) {
    const i32* from = start + i * start_row;
    sum[i][0] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    sum[i][1] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 8));
  }
  for (i64 t = 0; t < taps; ++t, a += kTileRows) {
    const char* row[Rows];
#pragma GCC unroll 6
    for (int i = 0; i < Rows; ++i) row[i] = a[i];
    for (i64 g = 0; g < groups; ++g) {
      __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
      __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + 32));
#pragma GCC unroll 6
      for (int i = 0; i < Rows; ++i) {
        i32 pair;
        __builtin_memcpy(&pair, row[i] + 4 * g, 4);
        __m256i value = _mm256_set1_epi32(pair);
        sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(value, low));
        sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(value, high));
      }
      b += step;
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < Rows; ++i) {
    i32* row = out + i * out_row;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row), sum[i][0]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + 8), sum[i][1]);
  }
}

#else

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

#endif

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
