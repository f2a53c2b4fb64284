// How the rows and weights of a product meet, and what a thread works in.
#pragma once

#include "product/gemm_grid.inl"
#include "product/tiles.inl"

namespace iptq {
namespace {

// Bytes of rows that are kept for all panels.
constexpr i64 kMostFormed = (kSplitsRows ? 1024 : 192) << 10;

inline bool of_words(const Gemm& g) { return g.words; }

// Whether rows of words are multiplied as two rows of bytes each: see tiles/split_amx.inl.
inline bool splits(const Gemm& g) { return kSplitsRows && of_words(g) && g.bits != 16; }

// Whether weights are multiplied as bytes.
inline bool as_bytes(const Gemm& g) {
  return of_words(g) ? splits(g) : kByteProducts;
}

// Whether rows take a form of their own.
inline bool forms(const Gemm& g) { return kFormsRows || splits(g); }

// Groups of depths of a tap, rounded up to what products take at a time: the rest are zeros.
inline i64 groups_of_tap(const Gemm& g, i64 groups) {
  constexpr i64 whole = kTileDepth / 4;
  if (splits(g)) return ceil_div(groups, whole) * whole;
  return kFormsPanels && !of_words(g) ? ceil_div(groups, 2) * 2 : groups;
}

// Whether panels are multiplied in another form than that in which they are stored.
inline bool unpacks(const Gemm& g) {
  if (g.window.depthwise || g.bits == 16) return false;
  if (of_words(g) && !splits(g)) return true;
  const i64 groups = ceil_div(g.k, 4);
  return g.bits == 4 || !kByteProducts || groups_of_tap(g, groups) != groups ||
         (kFormsPanels && !of_words(g));
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
    const i64 depth = 4 * groups_of_tap(g, ceil_div(g.k, 4)) * taps_of(g);
    const i64 element = as_bytes(g) ? 1 : 2, row = kTileColumns * sizeof *sums;
    panel = take(unpacks(g) ? depth * g.width * kLanes * element : 0);
    start = reinterpret_cast<i32*>(take(kRowShift ? kTileColumns * sizeof *start : 0));
    constants = reinterpret_cast<PanelConstants*>(take(sizeof *constants));
    wide = take(kByteProducts || kFormsRows ? 0 : kTileRows * depth * 2);
    const i64 of_tap = ceil_div(g.k, 4) * 4 * (of_words(g) || !kByteProducts ? 2 : 1);
    formed_size = splits(g) ? split_bytes(of_tap) : formed_bytes(kTileRows, of_tap);
    formed_size *= taps_of(g);
    keeps = formed_size * kChunkTiles <= kMostFormed;
    formed = take(formed_size * (keeps ? kChunkTiles : 1));
    sums = reinterpret_cast<i32*>(take(kChunkTiles * kTileRows * row));
    pointers = reinterpret_cast<const char**>(take(taps_of(g) * kTileRows * 8));
  }
};

i64 gemm_scratch(const void* command) {
  return GemmMemory(*static_cast<const Gemm*>(command), nullptr).bytes;
}

}  // namespace
}  // namespace iptq
