// Matrix product with packed weights; everything after it in its epilogue.
#pragma once

#include "epilogue.inl"
#include "tiles.inl"
#include "unpack.inl"

namespace iptq {
namespace {

constexpr i64 kChunkTiles = 40;    // 240 rows of `a` stay in the L2 cache
constexpr i64 kTasksOfThread = 8;

// Units of work: tiles within panels within chunks of rows.
struct GemmGrid {
  Panels panels;
  i64 tiles, units;

  explicit GemmGrid(const Gemm& g)
      : panels(g.n, g.k, g.width),
        tiles(ceil_div(g.m, kTileRows)),
        units(tiles * panels.count) {}

  i64 tiles_from(i64 first) const {
    return tiles - first < kChunkTiles ? tiles - first : kChunkTiles;
  }
};

// A place in the grid.
struct GemmPlace {
  i64 chunk, panel, tile;  // first tile of the chunk; tile within it

  GemmPlace(const GemmGrid& grid, i64 unit)
      : chunk(unit / (kChunkTiles * grid.panels.count) * kChunkTiles) {
    unit -= chunk * grid.panels.count;
    panel = unit / grid.tiles_from(chunk);
    tile = unit % grid.tiles_from(chunk);
  }

  // On to the next panel, if the chunk is done to the next one.
  void next(const GemmGrid& grid) {
    tile = 0;
    if (++panel < grid.panels.count) return;
    panel = 0;
    chunk += kChunkTiles;
  }
};

i64 gemm_tasks(const void* command, i64 threads) {
  i64 units = GemmGrid(*static_cast<const Gemm*>(command)).units;
  i64 tasks = threads > 1 ? threads * kTasksOfThread : 1;
  return units < tasks ? units : tasks;
}

inline bool unpacks(const Gemm& g) { return g.bits == 4 || !kByteProducts; }

// Where products of bytes are made of int16: a panel and rows of these.
i64 gemm_scratch(const void* command) {
  const Gemm& g = *static_cast<const Gemm*>(command);
  const i64 depth = ceil_div(g.k, 4) * 4, element = kByteProducts ? 1 : 2;
  const i64 panel = unpacks(g) ? depth * g.width * kLanes * element : 0;
  return panel + kTileRows * depth * 2;
}

// Tiles `first` to `last` of a panel, from the row of the chunk on.
void gemm_panel(const Gemm& g, const Panels& panels, const GemmPlace& place, i64 last,
                const char* b, i16* wide) {
  const i64 width = panels.width_of(place.panel), column = panels.column(place.panel);
  const i64 depth = panels.groups * 4;
  alignas(64) i32 sums[kTileRows * kTileColumns];
  for (i64 t = place.tile; t < last; ++t) {
    const i64 row = (place.chunk + t) * kTileRows;
    const i64 rows = g.m - row < kTileRows ? g.m - row : kTileRows;
    const u8* a = g.a + row * g.a_row;
    if constexpr (kByteProducts) {
      tile_of<true>(rows, width)(reinterpret_cast<const char*>(a), g.a_row, b,
                                 panels.groups, g.start + column, sums, kTileColumns);
    } else {
      widen_rows(a, g.a_row, rows, depth, wide);
      tile_of<false>(rows, width)(reinterpret_cast<const char*>(wide), 2 * depth, b,
                                  2 * panels.groups, g.start + column, sums,
                                  kTileColumns);
    }
    finish(g, sums, row, rows, column, width);
  }
}

void gemm_run(const void* command, i64 task, i64 tasks, char* scratch) {
  const Gemm& g = *static_cast<const Gemm*>(command);
  const GemmGrid grid(g);
  const Panels& panels = grid.panels;
  i16* wide = reinterpret_cast<i16*>(scratch);
  char* unpacked = scratch + kTileRows * panels.groups * 4 * 2;
  i64 unit = grid.units * task / tasks, ready = -1;
  const i64 end = grid.units * (task + 1) / tasks;
  for (GemmPlace place(grid, unit); unit < end; place.next(grid)) {
    i64 last = grid.tiles_from(place.chunk);
    if (last - place.tile > end - unit) last = place.tile + end - unit;
    const i8* weights = g.weights + panels.at(place.panel, g.bits);
    const char* b = reinterpret_cast<const char*>(weights);
    if (unpacks(g)) {
      const i64 columns = panels.width_of(place.panel) * kLanes;
      if (ready != place.panel)
        unpack_panel<kByteProducts>(weights, g.bits, panels.groups, columns, unpacked);
      ready = place.panel;
      b = unpacked;
    }
    gemm_panel(g, panels, place, last, b, wide);
    unit += last - place.tile;
  }
}

}  // namespace
}  // namespace iptq
