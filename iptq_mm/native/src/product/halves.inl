// Products of int16 whose sums 32 bits do not hold.
//
// The left operand is divided into halves, each of which is multiplied by itself:
//
//   x = 256 * high + low,  low in 0..255,  high in -128..255                   (1)
//
// (-32768..65535 are such x.) A product of a half and an int16 is at most 255 * 32768 in
// magnitude, so that 32 bits hold the sum of 256 of them: 256 * 255 * 32768 < 2**31. The
// sums of so many depths are joined in 64 bits:
//
//   sum += 256 * sum of high + sum of low                                      (2)
//
// That costs two products. Joining sums of whole x would have to be done after each pair
// of depths, which costs more.
#pragma once

#include "product/tiles.inl"

namespace iptq {
namespace {

constexpr i64 kHalvesGroups = 64;  // of 4 depths, whose sums 32 bits hold

// A tile's rows in halves, and its sums. All sums are kTileColumns apart.
struct HalvedTile {
  alignas(64) i64 sums[kTileRows * kTileColumns];
  alignas(64) i32 upper[kTileRows * kTileColumns], lower[kTileRows * kTileColumns];
  alignas(64) i16 memory[2 * kTileRows * kHalvesGroups * 4];
  const char* high[kHalvesGroups * kTileRows];  // as a tile wants them
  const char* low[kHalvesGroups * kTileRows];
  alignas(16) char form[kFormsRows ? 2 * kTileRows * kHalvesGroups * 4 + 64 : 1];
  i16* end;

  // Forget the rows so far.
  void restart() { end = memory; }

  // Divides `count` integers of a row; missing ones up to `depth` are zeros.
  template <class T>
  void divide(const T* from, i64 count, i64 depth, i64 row) {
    i16 *upper = end, *lower = end + depth;
    end += 2 * depth;
    for (i64 d = 0; d < count; ++d) upper[d] = static_cast<i16>(from[d] >> 8);
    for (i64 d = 0; d < count; ++d) lower[d] = static_cast<i16>(from[d] & 255);
    for (i64 d = count; d < depth; ++d) upper[d] = lower[d] = 0;
    high[row] = reinterpret_cast<const char*>(upper);
    low[row] = reinterpret_cast<const char*>(lower);
  }

  // Adds the products of `pairs` pairs of depths of each tap, as (2) says, to the sums so
  // far; there are none yet if these depths are the first.
  void multiply(i64 taps, i64 rows, const char* b, i64 pairs, i64 width, bool first) {
    static const i32 zeros[kTileColumns] = {};
    const Tile tile = tile_of<false>(rows, width);
    form_half(high, taps, rows, pairs);
    tile(high, taps, b, pairs, zeros, 0, upper, kTileColumns);
    form_half(low, taps, rows, pairs);
    tile(low, taps, b, pairs, zeros, 0, lower, kTileColumns);
    for (i64 i = 0; i < rows; ++i) {
      const i64 at = i * kTileColumns, end = at + width * kLanes;
      if (first)
        for (i64 c = at; c < end; ++c)
          sums[c] = static_cast<i64>(upper[c]) * 256 + lower[c];
      else
        for (i64 c = at; c < end; ++c)
          sums[c] += static_cast<i64>(upper[c]) * 256 + lower[c];
    }
  }

 private:
  void form_half(const char** half, i64 taps, i64 rows, i64 pairs) {
    if (!kFormsRows) return;
    form_rows(half, taps, rows, 0, 4 * pairs, kWords, form);
    half[0] = form;
  }
};

}  // namespace
}  // namespace iptq
