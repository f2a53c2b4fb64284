// Register tiles for WebAssembly's vectors of 128 bits: 8 columns of 3 or 6 rows at a
// time, since engines on x86 have 15 registers for them.
//
// Products of int16 (i32x4.dot_i16x8) are exact. Those of bytes are relaxed: what an engine
// makes of the second operand where it exceeds 7 bits is its own business. The build for
// these (__wasm_relaxed_simd__) is for engines that take it as 8 bits without a sign and
// saturate nothing, as AVX-VNNI does; runtime/web/engine.js finds out beforehand.
#pragma once

#include <wasm_simd128.h>

#include <cstddef>

#include "product/form_plain.inl"

namespace iptq {
namespace {

#ifdef __wasm_relaxed_simd__
constexpr bool kByteProducts = true;
#else
constexpr bool kByteProducts = false;
#endif

// sum + products of a row's 4 bytes, repeated, and weights; or of 2 int16.
template <bool Bytes>
inline v128_t added(v128_t sum, v128_t row, v128_t weights) {
#ifdef __wasm_relaxed_simd__
  if (Bytes) return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(weights, row, sum);
#endif
  return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(row, weights));
}

// 8 columns of some rows.
template <int Rows, bool Bytes>
inline __attribute__((always_inline)) void strip(const char* const* a, int taps,
                                                 const char* b, std::ptrdiff_t step,
                                                 int groups, const i32* start,
                                                 std::ptrdiff_t start_row, i32* out,
                                                 std::ptrdiff_t out_row) {
  v128_t sum[Rows][2];
#pragma clang loop unroll(full)
  for (int i = 0; i < Rows; ++i) {
    sum[i][0] = wasm_v128_load(start + i * start_row);
    sum[i][1] = wasm_v128_load(start + i * start_row + 4);
  }
  for (int t = 0; t < taps; ++t, a += kTileRows) {
    const char* row[Rows];
#pragma clang loop unroll(full)
    for (int i = 0; i < Rows; ++i) row[i] = a[i];
#pragma clang loop unroll_count(2)
    for (int g = 0; g < groups; ++g, b += step) {
      const v128_t low = wasm_v128_load(b), high = wasm_v128_load(b + 16);
#pragma clang loop unroll(full)
      for (int i = 0; i < Rows; ++i) {
        const v128_t value = wasm_v128_load32_splat(row[i] + 4 * g);
        sum[i][0] = added<Bytes>(sum[i][0], value, low);
        sum[i][1] = added<Bytes>(sum[i][1], value, high);
      }
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < Rows; ++i) {
    wasm_v128_store(out + i * out_row, sum[i][0]);
    wasm_v128_store(out + i * out_row + 4, sum[i][1]);
  }
}

// out = start + a b: `a` points at rows of bytes or of pairs of int16 for each tap, `b` is
// a panel of them. Starts lie by columns (`start_row` 0), or like the results.
template <int Rows, int Width, bool Bytes>
void tile(const char* const* a, i64 taps, const char* b, i64 groups, const i32* start,
          i64 start_row, i32* out, i64 out_row) {
  constexpr int kFirst = Bytes || Rows <= 3 ? Rows : 3;
  const int all_taps = static_cast<int>(taps), all_groups = static_cast<int>(groups);
  const auto from_row = static_cast<std::ptrdiff_t>(start_row);
  const auto to_row = static_cast<std::ptrdiff_t>(out_row);
  for (int j = 0; j < 2 * Width; ++j, b += 32, start += 8, out += 8) {
    strip<kFirst, Bytes>(a, all_taps, b, 64 * Width, all_groups, start, from_row, out,
                         to_row);
    if constexpr (Rows > kFirst)
      strip<Rows - kFirst, Bytes>(a + kFirst, all_taps, b, 64 * Width, all_groups,
                                  start + kFirst * from_row, from_row,
                                  out + kFirst * to_row, to_row);
  }
}

}  // namespace
}  // namespace iptq
