// The quick form, (4) in epilogue.inl, for WebAssembly's vectors of 128 bits.
#pragma once

#include <wasm_simd128.h>

#include "arithmetic.inl"
#include "epilogue/targets.inl"

namespace iptq {
namespace {

inline void post_row(const Gemm& g, i32* codes, i64 row, i64 column, i64 count);

// 2 to the power of `base` - each of 4 exponents, which lie in 0..base.
inline v128_t powers_of_two(const i32* exponents, i32 base) {
  i32 made[4];
  for (int i = 0; i < 4; ++i) made[i] = i32{1} << (base - exponents[i]);
  return wasm_v128_load(made);
}

// Constants of 8 columns. There are no shifts that differ from lane to lane: products
// with powers of two take their place.
struct EightChannels {
  v128_t even, odd, even_offset[2], odd_offset[2], down[2], up[2];
  i32 shift;  // of all 8 columns; -1: they differ

  EightChannels() = default;

  EightChannels(const Gemm& g, i64 at, int half) {
    const i64* multiplier = g.multiplier + at + 4 * half;
    const i64* offset = g.offset + at + 4 * half;
    const i32* shifts = g.shift + at + 8 * half;
    even = narrow(multiplier);
    odd = narrow(multiplier + kLanes / 2);
    shift = shifts[0];
    for (int i = 1; i < 8; ++i) shift = shifts[i] == shift ? shift : -1;
    for (int i = 0; i < 2; ++i) {
      even_offset[i] = wasm_v128_load(offset + 2 * i);
      odd_offset[i] = wasm_v128_load(offset + kLanes / 2 + 2 * i);
      if (shift < 0) down[i] = powers_of_two(shifts + 4 * i, 30);
      if (g.up) {
        i32 left[4];
        for (int j = 0; j < 4; ++j) left[j] = -g.up[at + 8 * half + 4 * i + j];
        up[i] = powers_of_two(left, 0);
      }
    }
  }

  static v128_t narrow(const i64* numbers) {
    return wasm_i32x4_shuffle(wasm_v128_load(numbers), wasm_v128_load(numbers + 2), 0, 2, 4,
                              6);
  }

  static v128_t high_halves(v128_t sums, v128_t factor, const v128_t* offset) {
    const v128_t low = wasm_i64x2_extmul_low_i32x4(sums, factor);
    const v128_t high = wasm_i64x2_extmul_high_i32x4(sums, factor);
    return wasm_i32x4_shuffle(wasm_i64x2_add(low, offset[0]),
                              wasm_i64x2_add(high, offset[1]), 1, 3, 5, 7);
  }

  // x >> s as x * 2**(30 - s) >> 30.
  v128_t shifted(v128_t x, int half) const {
    if (shift >= 0) return wasm_i32x4_shr(x, static_cast<u32>(shift));
    const v128_t low = wasm_i64x2_extmul_low_i32x4(x, down[half]);
    const v128_t high = wasm_i64x2_extmul_high_i32x4(x, down[half]);
    return wasm_i32x4_shuffle(wasm_i64x2_shr(low, 30), wasm_i64x2_shr(high, 30), 0, 2, 4, 6);
  }

  void codes(const i32* sums, bool moves, v128_t least, v128_t most, i32* to) const {
    v128_t first = wasm_v128_load(sums), second = wasm_v128_load(sums + 4);
    if (moves) {
      first = wasm_i32x4_mul(first, up[0]);
      second = wasm_i32x4_mul(second, up[1]);
    }
    const v128_t evens =
        high_halves(wasm_i32x4_shuffle(first, second, 0, 2, 4, 6), even, even_offset);
    const v128_t odds =
        high_halves(wasm_i32x4_shuffle(first, second, 1, 3, 5, 7), odd, odd_offset);
    first = shifted(wasm_i32x4_shuffle(evens, odds, 0, 4, 1, 5), 0);
    second = shifted(wasm_i32x4_shuffle(evens, odds, 2, 6, 3, 7), 1);
    wasm_v128_store(to, wasm_i32x4_max(least, wasm_i32x4_min(most, first)));
    wasm_v128_store(to + 4, wasm_i32x4_max(least, wasm_i32x4_min(most, second)));
  }
};

// The constants of a panel, made once: of 6 rows, they cost as much as a third of the rest
// of an epilogue.
struct PanelConstants {
  EightChannels eight[kTileColumns / 8];
  bool possible;  // not where the shifts of a command are beyond what products can do

  void prepare(const Gemm& g, i64 column, i64 width) {
    possible = g.quick;
    const i64 padded = width * kLanes;
    for (i64 c = 0; possible && c < padded; ++c)
      possible = static_cast<u32>(g.shift[column + c]) <= 30 &&
                 (!g.up || static_cast<u32>(g.up[column + c]) <= 30);
    for (i64 c = 0; possible && c < padded; c += 8)
      eight[c / 8] = EightChannels(g, column + c / kLanes * kLanes, c / 8 % 2);
  }
};

inline bool finish_quickly(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column,
                           i64 width, const PanelConstants& panel) {
  if (!panel.possible) return false;
  const i64 padded = width * kLanes;
  const i64 count = g.n - column < padded ? g.n - column : padded;
  alignas(16) i32 codes[kTileRows][kTileColumns];
  const v128_t least = wasm_i32x4_splat(static_cast<i32>(g.low));
  const v128_t most = wasm_i32x4_splat(static_cast<i32>(g.high));
  const bool moves = g.up;
  for (i64 c = 0; c < padded; c += 8)
    for (i64 r = 0; r < rows; ++r)
      panel.eight[c / 8].codes(sums + r * kTileColumns + c, moves, least, most,
                               codes[r] + c);
  for (i64 r = 0; r < rows; ++r) {
    const i64 target = target_of(g, row + r);
    if (target >= 0) post_row(g, codes[r], target, column, count);
  }
  return true;
}

// Sums of two rows; the first one becomes the result.
inline void add_rows(const Sum& s, i32* a, const i32* b, i64 count) {
  for (i64 i = 0; i < count; ++i) a[i] = add_requantized(a[i], b[i], s);
}

}  // namespace
}  // namespace iptq
