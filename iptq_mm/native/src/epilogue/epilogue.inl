// The epilogue of a product: from a tile of accumulators to stored codes.
//
// Codes stand for integers by zero points: code = integer + zero_point, z_a of the input
// and z of the result. Weights have none. All numbers below are of one column.
//
// The accumulator, of integers:
//
//   acc = sum_d (code_a[d] - z_a) * w[d] = start + sum_d code_a[d] * w[d]
//   start = -z_a * sum_d w[d]                                                  (1)
//
// so that a tile sums products of unsigned bytes, from `start` on. The requantization of
// the integer program, with half of the divisor in the offset (rounding half up):
//
//   integer = clamp((acc * multiplier + offset) >> shift, low, high)           (2)
//
// The code, for which z moves into the offset and the bounds. This is exact, since
// (x + (z << s)) >> s = (x >> s) + z:
//
//   code = clamp((acc * multiplier + offset') >> shift, low + z, high + z)
//   offset' = offset + (z << shift)                                            (3)
//
// The exact form (requantize_row) is (3) in 64 bits, for any constants. The quick form
// (quick_row, and ChannelVector of AVX2 and AVX512) needs the upper 32 bits of each
// 64-bit product only, which a vector holds twice as many of. Both summands are doubled
// until the shift is at least 32, and the shift is done in two steps, which rounds down
// as one does:
//
//   up = max(0, 32 - shift)
//   code = clamp(H >> (shift + up - 32), low + z, high + z)
//   H = ((acc << up) * multiplier + (offset' << up)) >> 32                     (4)
//
// `quick` says that the fields `offset` and `shift` are those of (4), offset' << up and
// shift + up - 32. It is set where nothing overflows: |acc| << up < 2**31 and
// |offset'| << up < 2**62 for all columns (a multiplier has 31 bits at most). `up` is
// null where it is 0 for all columns.
//
// A product of 32-bit lanes (vpmuldq) reads the even lanes only: odd columns are moved
// down first. Therefore `multiplier` and `offset` of the quick form lie in blocks of 16
// columns, the 8 even ones first: column 16b + i is at 16b + 8 * (i % 2) + i / 2.
//
// Example: acc = -123, multiplier = 1717986918 (0.8 * 2**31), shift = 31,
// offset = 2**30, z = 128. The integer is floor(-98.4 + 0.5) = -98, the code 30.
// Quick: up = 1, acc << up = -246, offset' << up = 551903297536, H = 30, and shift + up -
// 32 = 0.
//
// What follows (`post`), of the clamped code c of a product:
//
//   kTable     code = table[c - low]                                           (5)
//   kAdd       code = clamp((c * left + residual * right + offset) >> shift)   (6)
//   kRescale   the same without a residual                                     (7)
//
// The product of (6) and (7) has z = 0; the zero point of the result is in the offset of
// the sum.
#pragma once

#include "arithmetic.inl"
#include "epilogue/targets.inl"

namespace iptq {
namespace {

// The exact form, (3).
inline void requantize_row(const Gemm& g, const i32* sums, i64 column, i64 count,
                           i32* codes) {
  for (i64 c = 0; c < count; ++c) {
    i64 wide = sums[c] * g.multiplier[column + c] + g.offset[column + c];
    codes[c] = clamp(wide >> g.shift[column + c], g.low, g.high);
  }
}

// The quick form, (4).
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

// The exact form of 64-bit sums, whole vectors of them. Compilers do not vectorize shifts
// that differ from lane to lane.
inline void requantize_sums(const Gemm& g, const i64* sums, i64 column, i64 count,
                            i32* __restrict codes) {
  const i64 *multiplier = g.multiplier + column, *offset = g.offset + column;
  const i32* shift = g.shift + column;
#ifdef __AVX2__
  typedef u64 Unsigned __attribute__((vector_size(32)));
  typedef i64 Signed __attribute__((vector_size(32)));
  typedef i32 Words __attribute__((vector_size(16)));
  const Unsigned sign = Unsigned{} + (u64{1} << 63);
  const Signed low = Signed{} + g.low, high = Signed{} + g.high;
  for (i64 c = 0; c < count; c += 4) {
    Unsigned sum, factor, addend;
    Words by;
    __builtin_memcpy(&sum, sums + c, sizeof sum);
    __builtin_memcpy(&factor, multiplier + c, sizeof factor);
    __builtin_memcpy(&addend, offset + c, sizeof addend);
    __builtin_memcpy(&by, shift + c, sizeof by);
    const Unsigned down = __builtin_convertvector(by, Unsigned);
    // As shifted() does it.
    const Unsigned moved = ((sum * factor + addend) ^ sign) >> down;
    Signed code = reinterpret_cast<Signed>(moved - (sign >> down));
    code = code < low ? low : code;
    code = code > high ? high : code;
    by = __builtin_convertvector(code, Words);
    __builtin_memcpy(codes + c, &by, sizeof by);
  }
#else
  for (i64 c = 0; c < count; ++c)
    codes[c] =
        requantized_sum(sums[c], multiplier[c], offset[c], shift[c], g.low, g.high);
#endif
}

// What follows a row's requantization: (5), (6) or (7).
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

// One tile of 64-bit sums, see finish().
void finish_sums(const Gemm& g, const i64* sums, i64 row, i64 rows, i64 column,
                 i64 width) {
  const i64 padded = width * kLanes;
  const i64 count = g.n - column < padded ? g.n - column : padded;
  for (i64 r = 0; r < rows; ++r) {
    const i64 target = target_of(g, row + r);
    if (target < 0) continue;
    alignas(64) i32 codes[kTileColumns];
    requantize_sums(g, sums + r * kTileColumns, column, padded, codes);
    post_row(g, codes, target, column, count);
  }
}

// One tile: `width` vectors of columns, of which those beyond n are dropped.
void finish(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column, i64 width,
            const PanelConstants& constants) {
  const i64 padded = width * kLanes;
  const i64 count = g.n - column < padded ? g.n - column : padded;
  if (finish_quickly(g, sums, row, rows, column, width, constants)) return;
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
