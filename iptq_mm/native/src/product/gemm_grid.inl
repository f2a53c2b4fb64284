// The units of work of a product, as gemm.inl draws them.
#pragma once

#include "product/panels.h"

namespace iptq {
namespace {

constexpr i64 kChunkTiles = 240 / kTileRows;  // their rows of `a` stay in the L2 cache
constexpr i64 kTasksOfThread = 8;

// Units of work: tiles within panels within chunks of rows.
struct GemmGrid {
  PanelLayout panels;
  i64 tiles, units, chunk;

  // With a chunk for each thread, where that moves less from cache to cache.
  explicit GemmGrid(const Gemm& g, i64 tasks = 1)
      : panels(g.n, g.k, g.width),
        tiles(ceil_div(g.m, kTileRows)),
        units(tiles * panels.count),
        chunk(kChunkTiles) {
    const i64 rows = ceil_div(tiles, ceil_div(tasks, kTasksOfThread));
    if (g.m * (g.n + g.k) > g.n * g.k && rows < chunk) chunk = rows;
  }

  i64 tiles_from(i64 first) const {
    return tiles - first < chunk ? tiles - first : chunk;
  }
};

// A place in the grid.
struct GemmPlace {
  i64 chunk, panel, tile;  // first tile of the chunk; tile within it

  GemmPlace(const GemmGrid& grid, i64 unit)
      : chunk(unit / (grid.chunk * grid.panels.count) * grid.chunk) {
    unit -= chunk * grid.panels.count;
    panel = unit / grid.tiles_from(chunk);
    tile = unit % grid.tiles_from(chunk);
  }

  // On to the next panel, if the chunk is done to the next one.
  void next(const GemmGrid& grid) {
    tile = 0;
    if (++panel < grid.panels.count) return;
    panel = 0;
    chunk += grid.chunk;
  }
};

}  // namespace
}  // namespace iptq
