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
#include "product/gemm_grid.inl"
#include "product/halves.inl"
#include "product/tiles.inl"
#include "product/unpack.inl"
#include "product/window.inl"

namespace iptq {
namespace {

constexpr i64 kSliceGroups = 640;  // of 4 depths: 160 KB of weights
constexpr i64 kMostFormed = 192 << 10;  // bytes of rows that are kept for all panels

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

// Whether rows and weights are int16 as they lie in memory.
inline bool of_words(const Gemm& g) { return g.bits == 16; }

inline bool unpacks(const Gemm& g) {
  return !g.window.depthwise && !of_words(g) &&
         (g.bits == 4 || !kByteProducts || kFormsPanels);
}

// Whether first sums are those of shifted rows.
inline bool shifts(const Gemm& g) {
  return kRowShift && !g.window.depthwise && !of_words(g);
}

inline i64 taps_of(const Gemm& g) { return g.taps ? g.taps : 1; }

// What a thread works in.
struct GemmMemory {
  char* panel;           // unpacked
  i32* start;            // of the panel
  PanelConstants* constants;
  char* wide;            // rows of `a` as int16
  char* formed;          // rows of `a` in a form of their own
  i64 formed_size;       // bytes of a tile
  bool keeps;            // whether those of all tiles of a chunk
  i32* sums;             // of the tiles of a chunk, or of one tile
  const char** pointers;
  i64 bytes = 0;

  GemmMemory(const Gemm& g, char* memory) {
    auto take = [&](i64 size) {
      char* at = memory + bytes;
      bytes += ceil_div(size, 64) * 64;
      return at;
    };
    const i64 unit = kFormsPanels ? 8 : 4;
    const i64 depth = ceil_div(g.k, unit) * unit * taps_of(g);
    const i64 element = kByteProducts ? 1 : 2, row = kTileColumns * sizeof *sums;
    panel = take(unpacks(g) ? depth * g.width * kLanes * element : 0);
    start = reinterpret_cast<i32*>(take(kRowShift ? kTileColumns * sizeof *start : 0));
    constants = reinterpret_cast<PanelConstants*>(take(sizeof *constants));
    wide = take(kByteProducts || kFormsRows ? 0 : kTileRows * depth * 2);
    const i64 of_tap = ceil_div(g.k, 4) * 4 * (of_words(g) || !kByteProducts ? 2 : 1);
    formed_size = formed_bytes(kTileRows, of_tap) * taps_of(g);
    keeps = formed_size * kChunkTiles <= kMostFormed;
    formed = take(formed_size * (keeps ? kChunkTiles : 1));
    sums = reinterpret_cast<i32*>(take(kChunkTiles * kTileRows * row));
    pointers = reinterpret_cast<const char**>(take(taps_of(g) * kTileRows * 8));
  }
};

i64 gemm_scratch(const void* command) {
  return GemmMemory(*static_cast<const Gemm*>(command), nullptr).bytes;
}

// A part of the depth whose weights stay in the L2 cache: whole taps, or some groups of
// one tap.
struct DepthSlice {
  i64 tap, taps;      // the first one, how many
  i64 group, groups;  // of 4 depths of a tap: the first one, how many
  bool first, last;   // whether it begins or ends the depth

  // The slice from a group of a tap on.
  DepthSlice(i64 tap, i64 group, i64 all_taps, i64 all_groups, i64 most = kSliceGroups)
      : tap(tap), group(group) {
    const i64 whole = most / all_groups;
    taps = whole < 1 ? 1 : whole < all_taps - tap ? whole : all_taps - tap;
    const i64 rest = all_groups - group;
    groups = whole < 1 && rest > most ? most : rest;
    first = tap == 0 && group == 0;
    last = tap + taps == all_taps && group + groups == all_groups;
  }

  // On to the next one.
  DepthSlice next(i64 all_taps, i64 all_groups, i64 most = kSliceGroups) const {
    const i64 at = (group + groups) % all_groups;
    return DepthSlice(tap + (at ? 0 : taps), at, all_taps, all_groups, most);
  }
};

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

// The formed rows of the tiles of a chunk, as far as they are there.
class FormedRows {
 public:
  // A tile's rows, whose addresses are in m.pointers.
  const char* of(const Gemm& g, const GemmMemory& m, i64 chunk, i64 tile, i64 rows,
                 const DepthSlice& slice) {
    const bool whole = slice.first && slice.last, kept = m.keeps && whole;
    if (!whole || chunk != chunk_) ready_ = 0;
    chunk_ = chunk;
    char* to = m.formed + (kept ? tile * m.formed_size : 0);
    if (ready_ >> tile & 1) return to;
    const char* const* at = m.pointers + slice.tap * kTileRows;
    const bool words = of_words(g);
    const i64 element = words ? 2 : 1;
    if (g.taps) point_pixels(g, (chunk + tile) * kTileRows, rows, m.pointers);
    else point_rows(g, (chunk + tile) * kTileRows, rows, m.pointers);
    form_rows(at, slice.taps, rows, 4 * element * slice.group, 4 * element * slice.groups,
              words ? kWords : kByteProducts ? kBytes : kWidened, to);
    if (kept) ready_ |= u64{1} << tile;
    return to;
  }

 private:
  static_assert(kChunkTiles <= 64);
  i64 chunk_ = -1;
  u64 ready_ = 0;
};

// Has at[0] and on point at the rows of a tile, as its product takes them.
inline void prepare_rows(const Gemm& g, const GemmMemory& m, const GemmPlace& place,
                         i64 tile, i64 rows, const DepthSlice& slice, FormedRows& formed) {
  const char** at = m.pointers + slice.tap * kTileRows;
  if (kFormsRows && !g.window.depthwise) {
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
  const i64 in_tap = kFormsPanels && !words ? ceil_div(panels.groups, 2) * 2 : panels.groups;
  const i64 part = slice.tap * in_tap + slice.group;
  const i64 scale = kByteProducts && !words ? 1 : 2, groups = slice.groups * scale;
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
    const auto tiles = words ? tile_of<false> : tile_of<kByteProducts>;
    const Tile tile = tiles(rows, width);
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

void gemm_run(const void* command, i64 task, i64 tasks, char* scratch) {
  const Gemm& g = *static_cast<const Gemm*>(command);
  const GemmGrid grid(g, tasks);
  const PanelLayout& panels = grid.panels;
  const GemmMemory memory(g, scratch);
  const TileConfig config(panels.groups);
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
        unpack_panel<kByteProducts>(g, panels, place.panel, taps, memory.panel);
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
