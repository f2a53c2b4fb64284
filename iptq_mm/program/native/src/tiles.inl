// The register tile of any number of rows and vectors.
#pragma once

#include "commands.h"

namespace iptq {
namespace {

using Tile = void (*)(const char* a, i64 a_row, const char* b, i64 groups,
                      const i32* start, i32* out, i64 out_row);

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

}  // namespace
}  // namespace iptq
