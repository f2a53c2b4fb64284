// Matrix product with packed weights; everything after it in its epilogue.
//
// Rows of `a` are divided into chunks of 40 tiles of 6 rows, which stay in the L2 cache.
// For each chunk, for each panel of weights, for each tile of the chunk:
//
//                panel 0   panel 1   panel 2           n columns
//             +---------+---------+---------+
//   chunk 0   | tile 0  | tile 40 | ...     |          a unit of work is a tile of a
//   (40 tiles | tile 1  | tile 41 |         |          panel; a task is a run of units
//   of 6 rows)| ...     | ...     |         |          in this order
//             +---------+---------+---------+
//   chunk 1   | ...     |         |         |
//
// Where the depth is so long that a panel leaves the cache, the tiles of a chunk are
// computed a slice of depth at a time, their accumulators kept in memory between.
#pragma once

#include "epilogue/epilogue.inl"
#include "product/depthwise.inl"
#include "product/formed_rows.inl"
#include "product/gemm_memory.inl"
#include "product/halves.inl"
#include "product/unpack.inl"

namespace iptq {
namespace {

// Where a task begins. Those of a thread become smaller: whoever is late at the end has
// little left, and is waited for by all others.
inline i64 first_unit(i64 units, i64 task, i64 tasks) {
  constexpr i64 kPercent[kTasksOfThread] = {0, 20, 38, 54, 68, 80, 89, 96};
  if (tasks % kTasksOfThread || units < 4 * tasks) return units * task / tasks;
  const i64 done = 100 * (task / kTasksOfThread) + kPercent[task % kTasksOfThread];
  return units * done / (100 * (tasks / kTasksOfThread));
}

i64 gemm_tasks(const void* command, i64 threads) {
  i64 units = GemmGrid(*static_cast<const Gemm*>(command)).units;
  i64 tasks = threads > 1 ? threads * kTasksOfThread : 1;
  return units < tasks ? units : tasks;
}

// Has the cache fetch what the epilogue of a tile will touch. Compilers take a
// function of nothing but fetches for one without effect, unless it is inlined first.
__attribute__((always_inline)) inline void fetch_results(
    const Gemm& g, i64 row, i64 column, i64 columns) {
  const i64 end = g.m - row < kTileRows ? g.m : row + kTileRows;
  const i64 size = g.out_type == kU8 || g.out_type == kI8 ? 1 : g.out_type == kI16 ? 2 : 4;
  for (; row < end; ++row) {
    const i64 target = target_of(g, row);
    if (target < 0) continue;
    const char* out =
        static_cast<const char*>(g.out) + (target * g.out_row + column) * size;
    for (i64 b = 0; b < columns * size; b += 64) __builtin_prefetch(out + b, 1);
    if (g.post != kAdd) continue;
    const i16* residual = residual_of(g, target) + column;
    for (i64 c = 0; c < columns; c += 32) __builtin_prefetch(residual + c);
  }
}

// Has at[0] and on point at the rows of a tile, as its product takes them.
inline void prepare_rows(const Gemm& g, const GemmMemory& m, const GemmPlace& place,
                         i64 tile, i64 rows, const DepthSlice& slice, FormedRows& formed) {
  const char** at = m.pointers + slice.tap * kTileRows;
  if (forms(g) && !g.window.depthwise) {
    const char* made = formed.of(g, m, place.chunk, tile, rows, slice);
    at[0] = made;
    return;
  }
  const i64 row = (place.chunk + tile) * kTileRows;
  if (g.taps) point_pixels(g, row, rows, m.pointers);
  else point_rows(g, row, rows, m.pointers);
  if (g.window.depthwise) return;
  if (kByteProducts || of_words(g)) {
    if (slice.group)
      for (i64 i = 0; i < rows; ++i) at[i] += 4 * (of_words(g) ? 2 : 1) * slice.group;
  } else {
    widen_rows(at, slice.taps, rows, 4 * slice.group, 4 * slice.groups, m.wide);
  }
}

// The tiles of a panel up to `last` of the chunk, as far as a slice of the depth.
void gemm_slice(const Gemm& g, const PanelLayout& panels, const GemmPlace& place,
                i64 last, const char* b, const GemmMemory& m, const DepthSlice& slice,
                FormedRows& formed) {
  const i64 width = panels.width_of(place.panel), column = panels.column(place.panel);
  const bool whole = slice.first && slice.last, words = of_words(g);
  const i64 part = slice.tap * groups_of_tap(g, panels.groups) + slice.group;
  const i64 scale = as_bytes(g) ? 1 : 2, groups = slice.groups * scale;
  const i32* first = shifts(g) ? m.start : g.start + column;
  const char** at = m.pointers + slice.tap * kTileRows;
  for (i64 t = place.tile; t < last; ++t) {
    const i64 row = (place.chunk + t) * kTileRows;
    const i64 rows = g.m - row < kTileRows ? g.m - row : kTileRows;
    i32* sums = m.sums + (whole ? 0 : (t - place.tile) * kTileRows * kTileColumns);
    if (slice.last && !kFormsRows)
      fetch_results(g, row + kTileRows, column, width * kLanes);
    prepare_rows(g, m, place, t, rows, slice, formed);
    if (g.window.depthwise) {
      depthwise_tile(g, m.pointers, rows, column, width * kLanes, sums);
      finish(g, sums, row, rows, column, width, *m.constants);
      continue;
    }
    const i32* start = slice.first ? first : sums;
    const Tile tile = splits(g) ? split_tile_of(width)
                      : words   ? tile_of<false>(rows, width)
                                : tile_of<kByteProducts>(rows, width);
    tile(at, slice.taps, b + part * scale * 64 * width, groups, start,
         slice.first ? 0 : kTileColumns, sums, kTileColumns);
    if (slice.last) finish(g, sums, row, rows, column, width, *m.constants);
  }
}

// The tiles of a panel up to `last` of the chunk, slice after slice.
void gemm_panel(const Gemm& g, const PanelLayout& panels, const GemmPlace& place,
                i64 last, const char* b, const GemmMemory& m, FormedRows& formed) {
  const i64 taps = g.window.depthwise ? 1 : taps_of(g), groups = panels.groups;
  for (DepthSlice slice(0, 0, taps, groups);; slice = slice.next(taps, groups)) {
    gemm_slice(g, panels, place, last, b, m, slice, formed);
    if (slice.last) return;
  }
}

// The same with sums of 64 bits, tile after tile.
void gemm_panel_in_halves(const Gemm& g, const PanelLayout& panels,
                          const GemmPlace& place, i64 last, const char* b,
                          const GemmMemory& m) {
  const i64 width = panels.width_of(place.panel), column = panels.column(place.panel);
  const i64 taps = taps_of(g), groups = panels.groups;
  HalvedTile halves;
  for (i64 t = place.tile; t < last; ++t) {
    const i64 row = (place.chunk + t) * kTileRows;
    const i64 rows = g.m - row < kTileRows ? g.m - row : kTileRows;
    if (g.taps) point_pixels(g, row, rows, m.pointers);
    else point_rows(g, row, rows, m.pointers);
    DepthSlice slice(0, 0, taps, groups, kHalvesGroups);
    for (;; slice = slice.next(taps, groups, kHalvesGroups)) {
      const i64 depth = 4 * slice.groups, from = 4 * slice.group;
      const i64 count = g.k - from < depth ? g.k - from : depth;
      halves.restart();
      for (i64 tap = 0; tap < slice.taps; ++tap)
        for (i64 i = 0; i < rows; ++i) {
          const char* at = m.pointers[(slice.tap + tap) * kTileRows + i];
          const i16* words = reinterpret_cast<const i16*>(at) + from;
          halves.divide(words, count, depth, tap * kTileRows + i);
        }
      const i64 part = slice.tap * groups + slice.group;
      halves.multiply(slice.taps, rows, b + part * 128 * width, 2 * slice.groups, width,
                      slice.first);
      if (slice.last) break;
    }
    finish_sums(g, halves.sums, row, rows, column, width);
  }
}

// A panel in the form in which its rows are multiplied.
inline void unpack(const Gemm& g, const PanelLayout& panels, i64 panel, char* to) {
  const i64 taps = taps_of(g);
  if (splits(g))
    unpack_bytes(g, panels, panel, taps, groups_of_tap(g, panels.groups), to);
  else if (of_words(g)) unpack_panel<false>(g, panels, panel, taps, to);
  else unpack_panel<kByteProducts>(g, panels, panel, taps, to);
}

void gemm_run(const void* command, i64 task, i64 tasks, char* scratch) {
  const Gemm& g = *static_cast<const Gemm*>(command);
  const GemmGrid grid(g, tasks);
  const PanelLayout& panels = grid.panels;
  const GemmMemory memory(g, scratch);
  const TileConfig config(splits(g) ? 0 : panels.groups);
  FormedRows formed;
  i64 unit = first_unit(grid.units, task, tasks), ready = -1, prepared = -1;
  const i64 end = first_unit(grid.units, task + 1, tasks);
  for (GemmPlace place(grid, unit); unit < end; place.next(grid)) {
    i64 last = grid.tiles_from(place.chunk);
    if (last - place.tile > end - unit) last = place.tile + end - unit;
    const i64 taps = taps_of(g);
    const i8* weights = g.weights + panels.at(place.panel, g.bits) * taps;
    const char* b = reinterpret_cast<const char*>(weights);
    if (unpacks(g)) {
      if (ready != place.panel)
        unpack(g, panels, place.panel, memory.panel);
      ready = place.panel;
      b = memory.panel;
    }
    if (prepared != place.panel) {
      prepared = place.panel;
      if (shifts(g)) shift_start(g, panels, place.panel, taps, b, memory.start);
      memory.constants->prepare(g, panels.column(prepared), panels.width_of(prepared));
    }
    if (g.halves) gemm_panel_in_halves(g, panels, place, last, b, memory);
    else gemm_panel(g, panels, place, last, b, memory, formed);
    unit += last - place.tile;
  }
}

}  // namespace
}  // namespace iptq
