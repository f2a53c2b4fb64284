// Register tiles for AVX2, sixteen columns at a time: products of bytes where the CPU has
// them in 256 bits (AVX-VNNI), else of int16.
#pragma once

#include <immintrin.h>

#include "product/form_plain.inl"

namespace iptq {
namespace {

#ifdef __AVXVNNI__

constexpr bool kByteProducts = true;

template <bool Bytes>
inline __m256i multiply_add(__m256i sum, __m256i a, __m256i b) {
  return Bytes ? _mm256_dpbusd_avx_epi32(sum, a, b) : _mm256_dpwssd_avx_epi32(sum, a, b);
}

#else

constexpr bool kByteProducts = false;

template <bool Bytes>
inline __m256i multiply_add(__m256i sum, __m256i a, __m256i b) {
  static_assert(!Bytes, "products of bytes are made of int16 here");
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

#endif

template <int Rows, bool Bytes>
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
      const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
      const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + 32));
#pragma GCC unroll 6
      for (int i = 0; i < Rows; ++i) {
        i32 dword;
        __builtin_memcpy(&dword, row[i] + 4 * g, 4);
        const __m256i value = _mm256_set1_epi32(dword);
        sum[i][0] = multiply_add<Bytes>(sum[i][0], value, low);
        sum[i][1] = multiply_add<Bytes>(sum[i][1], value, high);
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

// out = start + a b: `a` points at rows of dwords (4 bytes or 2 int16) for each tap,
// `b` is a panel. Starts lie by columns (`start_row` 0), or like the results.
template <int Rows, int Width, bool Bytes>
void tile(const char* const* a, i64 taps, const char* b, i64 groups, const i32* start,
          i64 start_row, i32* out, i64 out_row) {
  for (int j = 0; j < Width; ++j)
    strip<Rows, Bytes>(a, taps, b + 64 * j, 64 * Width, groups, start + kLanes * j,
                       start_row, out + kLanes * j, out_row);
}

}  // namespace
}  // namespace iptq
