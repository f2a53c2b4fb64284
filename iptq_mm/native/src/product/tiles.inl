// Register tiles: the part of a product whose accumulators stay in registers, 6 rows by
// 4 vectors of 16 columns at most. For each group g of 4 depths:
//
//                            weights of group g of a panel (see panels.h)
//                            | vector 0 | vector 1 | vector 2 | vector 3 |
//   a, 4 bytes of each row
//     row 0 | a[4g .. 4g+3] | sum[0][0]  sum[0][1]  sum[0][2]  sum[0][3]
//     row 1 | a[4g .. 4g+3] | sum[1][0]  ...
//     ...
//     row 5 | a[4g .. 4g+3] | sum[5][0]  ...                   sum[5][3]
//
// The 4 bytes of a row are repeated in all lanes, and lane c of sum[i][j] grows by
//
//   a[i][4g] * w[4g][16j + c] + ... + a[i][4g+3] * w[4g+3][16j + c]            (1)
//
// 24 accumulators, 4 vectors of weights and one of the row make 29 of 32 registers. Where
// there are no byte products, rows and weights are widened to int16 (unpack.inl), a group
// becomes two of 2 depths, and a tile is computed one vector of columns after the other.
//
// Accumulators start from `start`, not from 0: see (1) in epilogue/epilogue.inl.
#pragma once

#include <utility>

#include "product/panels.h"

namespace iptq {
namespace {

// a: for each tap kTileRows addresses of rows, of which the first `rows` are read, up to
//   a multiple of kTileDepth; or the first one alone is that of all rows, formed
// b: a panel, from the first group of these taps on
// start, out: (kTileRows, width * 16), rows `start_row` and `out_row` apart
using Tile = void (*)(const char* const* a, i64 taps, const char* b, i64 groups,
                      const i32* start, i64 start_row, i32* out, i64 out_row);

#ifndef IPTQ_AMX_TILES
// What products of bytes need while they run: here nothing. See tile_amx.inl.
struct TileConfig {
  explicit TileConfig(i64) {}
};

// Whether rows of words by bytes are multiplied as two rows of bytes; then split_rows()
// leaves these in split_bytes() for split_tile_of().
constexpr bool kSplitsRows = false;
inline i64 split_bytes(i64) { return 0; }
inline void split_rows(const char* const*, i64, i64, i64, i64, char*) {}
inline Tile split_tile_of(i64) { return nullptr; }
#else
inline Tile split_tile_of(i64 width) {
  static constexpr Tile tiles[] = {split_rows_tile<1>, split_rows_tile<2>,
                                   split_rows_tile<3>, split_rows_tile<4>};
  return tiles[width - 1];
}
#endif

template <int Width, bool Bytes, int... Less>
Tile tile_of_rows(i64 rows, std::integer_sequence<int, Less...>) {
#ifdef IPTQ_AMX_TILES
  static const Tile tiles[] = {matrix_tile<Less + 1, Width, Bytes>...};
#else
  static const Tile tiles[] = {tile<Less + 1, Width, Bytes>...};
#endif
  return tiles[rows - 1];
}

template <int Width, bool Bytes>
Tile tile_of_rows(i64 rows) {
  return tile_of_rows<Width, Bytes>(rows, std::make_integer_sequence<int, kTileRows>());
}

// Bytes: 4 unsigned bytes times 4 signed ones, else 2 int16 times 2 int16.
template <bool Bytes>
Tile tile_of(i64 rows, i64 width) {
  switch (width) {
    case 1: return tile_of_rows<1, Bytes>(rows);
    case 2: return tile_of_rows<2, Bytes>(rows);
    case 3: return tile_of_rows<3, Bytes>(rows);
    default: return tile_of_rows<4, Bytes>(rows);
  }
}

// out = start + a b of all panels. Where rows take a form of their own, `form` has room for
// it.
template <bool Bytes>
void multiply(const char* a, i64 a_row, i64 rows, const PanelLayout& panels,
              const char* packed, const i32* start, i32* out, i64 out_row, char* form) {
  const char* at[kTileRows] = {};
  for (i64 i = 0; i < rows; ++i) at[i] = a + i * a_row;
  if (kFormsRows) {
    form_rows(at, 1, rows, 0, 4 * panels.groups, Bytes ? kBytes : kWords, form);
    at[0] = form;
  }
  for (i64 p = 0; p < panels.count; ++p) {
    const i64 column = panels.column(p);
    tile_of<Bytes>(rows, panels.width_of(p))(at, 1, packed + panels.at(p, 8),
                                             panels.groups, start + column, 0,
                                             out + column, out_row);
  }
}

}  // namespace
}  // namespace iptq
