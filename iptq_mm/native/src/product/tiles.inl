// The register tile of any number of rows and vectors.
#pragma once

#include "product/panels.h"

namespace iptq {
namespace {

using Tile = void (*)(const char* const* a, i64 taps, const char* b, i64 groups,
                      const i32* start, i64 start_row, i32* out, i64 out_row);

template <int Width, bool Bytes>
Tile tile_of_rows(i64 rows) {
  static const Tile tiles[kTileRows] = {
      tile<1, Width, Bytes>, tile<2, Width, Bytes>, tile<3, Width, Bytes>,
      tile<4, Width, Bytes>, tile<5, Width, Bytes>, tile<6, Width, Bytes>};
  return tiles[rows - 1];
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

// out = start + a b of all panels.
template <bool Bytes>
void multiply(const char* a, i64 a_row, i64 rows, const PanelLayout& panels,
              const char* packed, const i32* start, i32* out, i64 out_row) {
  const char* at[kTileRows] = {};
  for (i64 i = 0; i < rows; ++i) at[i] = a + i * a_row;
  for (i64 p = 0; p < panels.count; ++p) {
    const i64 column = panels.column(p);
    tile_of<Bytes>(rows, panels.width_of(p))(at, 1, packed + panels.at(p, 8),
                                             panels.groups, start + column, 0,
                                             out + column, out_row);
  }
}

}  // namespace
}  // namespace iptq
