// Words by bytes with AMX: two products of bytes, of the words' upper and lower ones.
//
//   x = 256 * above + below        sum of x w = (sum of above w << 8) + sum of below w
//
// Probabilities are unsigned words, whose upper bytes are unsigned, too; rows of a matrix
// product are signed words. Both sums may wrap, since the result fits.
//
// Rows of a product are made ready for all panels: for each 64 depths of 16 rows a tile of
// upper bytes, and one of lower bytes behind it.
//
//   depths 0 .. 63                             depths 64 .. 127
//   | above, 16 x 64 | below, 16 x 64 |        | above, 16 x 64 | below, 16 x 64 |  ...
#pragma once

#include "product/tiles/tile_amx.inl"

namespace iptq {
namespace {

constexpr bool kSplitsWords = true, kSplitsRows = true;
using SplitProbability = SplitWord;
constexpr i64 kTileBytes = kTileRows * kTileDepth;

// Where the bytes of 16 rows of words are.
struct SplitRows {
  const char* above;  // of the first 64 depths
  i64 below;          // bytes from those above to those below
  i64 row, step;      // bytes to the next row, to the next 64 depths
};

// Registers of the sums of lower bytes; what they begin with, and zeros in the others.
template <bool Two>
inline void begin_sums(const i32* start, i64 start_row) {
  clear_tile<0>();
  if constexpr (Two) clear_tile<1>();
  if (start) {
    load_tile<2>(start, 4 * start_row);
    if constexpr (Two) load_tile<3>(start + kLanes, 4 * start_row);
  } else {
    clear_tile<2>();
    if constexpr (Two) clear_tile<3>();
  }
}

// One or two vectors of columns; the registers 0 and 1 hold sums of upper bytes (4), 2 and
// 3 those of lower bytes (5), 6 and 7 the columns. Whole registers of depths.
template <bool Two, bool Signed>
inline void split_tile(const SplitRows& a, const char* b, i64 b_row, i64 depths,
                       const i32* start, i64 start_row, i32* out, i64 out_row) {
  begin_sums<Two>(start, start_row);
  const char* above = a.above;
  for (i64 d = 0; d < depths; ++d, above += a.step, b += kTileGroups * b_row) {
    load_tile<4>(above, a.row);
    load_tile<6>(b, b_row);
    multiply_tiles<0, 4, 6, Signed>();
    if constexpr (Two) load_tile<7>(b + 64, b_row);
    if constexpr (Two) multiply_tiles<1, 4, 7, Signed>();
    load_tile<5>(above + a.below, a.row);
    multiply_tiles<2, 5, 6>();
    if constexpr (Two) multiply_tiles<3, 5, 7>();
  }
  constexpr i64 vectors = Two ? 2 : 1;
  alignas(64) i32 upper[kTileRows * vectors * kLanes];
  store_tile<0>(upper, 64 * vectors);
  if constexpr (Two) store_tile<1>(upper + kLanes, 64 * vectors);
  store_tile<2>(out, 4 * out_row);
  if constexpr (Two) store_tile<3>(out + kLanes, 4 * out_row);
  for (i64 r = 0; r < kTileRows; ++r)
    for (i64 v = 0; v < vectors; ++v) {
      i32* sums = out + r * out_row + v * kLanes;
      const __m512i shifted = _mm512_slli_epi32(load(upper + (r * vectors + v) * kLanes), 8);
      _mm512_storeu_si512(sums, _mm512_add_epi32(load(sums), shifted));
    }
}

// out = a b of 16 rows of split words (panels.h) as softmax leaves them, less their zero
// point. Whole registers of depths: TileConfig(0).
inline void multiply_split(const SplitWord* a, i64 below, i64, const PanelLayout& panels,
                           const char* packed, const i32*, i32* out, i64 out_row, char*) {
  const SplitRows rows = {reinterpret_cast<const char*>(a), below, 2 * below, kTileDepth};
  const i64 depths = ceil_div(panels.groups, kTileGroups);
  for (i64 p = 0; p < panels.count; ++p, out += panels.width * kLanes) {
    const i64 width = panels.width_of(p), b_row = 64 * width;
    const char* b = packed + panels.at(p, 8);
    for (i64 v = 0; v < width; v += 2)
      (width - v > 1 ? split_tile<true, false> : split_tile<false, false>)(
          rows, b + 64 * v, b_row, depths, nullptr, 0, out + v * kLanes, out_row);
  }
}

// Bytes of a tap of 16 rows, each of so many bytes of words.
inline i64 split_bytes(i64 bytes) {
  return ceil_div(bytes, 2 * kTileDepth) * 2 * kTileBytes;
}

// 64 words as 64 upper and 64 lower bytes.
inline void split_words(__m512i first, __m512i second, char* above, char* below) {
  alignas(64) static constexpr auto even = [] {
    struct {
      u8 at[64] = {};
    } order;
    for (int i = 0; i < 64; ++i) order.at[i] = static_cast<u8>(2 * i);
    return order;
  }();
  const __m512i lower = _mm512_load_si512(even.at);
  const __m512i upper = _mm512_or_si512(lower, _mm512_set1_epi8(1));
  _mm512_store_si512(below, _mm512_permutex2var_epi8(first, lower, second));
  _mm512_store_si512(above, _mm512_permutex2var_epi8(first, upper, second));
}

// `bytes` bytes of `count` rows of words from `from` on, for each tap.
inline void split_rows(const char* const* rows, i64 taps, i64 count, i64 from, i64 bytes,
                       char* to) {
  const i64 blocks = ceil_div(bytes, 2 * kTileDepth);
  for (i64 t = 0; t < taps; ++t, rows += kTileRows, to += blocks * 2 * kTileBytes)
    for (i64 i = 0; i < count; ++i) {
      const char* row = rows[i] + from;
      char* above = to + i * kTileDepth;
      i64 left = bytes / 2;
      for (; left > 0; left -= kTileDepth, row += 2 * kTileDepth, above += 2 * kTileBytes) {
        const auto mask = [&](i64 words) {
          return words >= 32 ? ~__mmask32{0} : words <= 0 ? 0 : (__mmask32{1} << words) - 1;
        };
        const __m512i first = _mm512_maskz_loadu_epi16(mask(left), row);
        const __m512i second = _mm512_maskz_loadu_epi16(mask(left - 32), row + 64);
        split_words(first, second, above, above + kTileBytes);
      }
    }
}

// As Tile says, but a[0] points at rows that split_rows() made, and each tap of the panel
// has whole registers of depths: TileConfig(0).
template <int Width>
void split_rows_tile(const char* const* a, i64 taps, const char* b, i64 groups,
                     const i32* start, i64 start_row, i32* out, i64 out_row) {
  const SplitRows rows = {a[0], kTileBytes, kTileDepth, 2 * kTileBytes};
  const i64 depths = taps * ceil_div(groups, kTileGroups);
  for (i64 v = 0; v < Width; v += 2)
    (Width - v > 1 ? split_tile<true, true> : split_tile<false, true>)(
        rows, b + 64 * v, 64 * Width, depths, start + v * kLanes, start_row,
        out + v * kLanes, out_row);
}

}  // namespace
}  // namespace iptq
