// Slices of a depth, and rows in the form that products take.
#pragma once

#include "product/gemm_memory.inl"
#include "product/window.inl"

namespace iptq {
namespace {

constexpr i64 kSliceGroups = 640;  // of 4 depths: 160 KB of weights

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
    const i64 from = 4 * element * slice.group, bytes = 4 * element * slice.groups;
    if (splits(g)) split_rows(at, slice.taps, rows, from, bytes, to);
    else
      form_rows(at, slice.taps, rows, from, bytes,
                words ? kWords : kByteProducts ? kBytes : kWidened, to);
    if (kept) ready_ |= u64{1} << tile;
    return to;
  }

 private:
  static_assert(kChunkTiles <= 64);
  i64 chunk_ = -1;
  u64 ready_ = 0;
};

}  // namespace
}  // namespace iptq
