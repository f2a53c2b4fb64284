// Right operands of 16 bits as panels (see panels.h) of pairs of int16.
#pragma once

#include <cstring>

#include "product/packing/pack.inl"

namespace iptq {
namespace {

// What a column begins with, -zero_point * sum. It may wrap, as the sums that it is part
// of, on their way to a result that fits.
inline i32 start_of(u32 sum, i64 zero_point) {
  return static_cast<i32>(sum * static_cast<u32>(-zero_point));
}

// Where depth d of a column lies: pairs of depths, of all columns of its panel.
inline i16* word_at(const PanelLayout& panels, i64 column, i64 d, char* to) {
  const i64 p = column / (panels.width * kLanes);
  const i64 width = panels.width_of(p) * kLanes;
  char* panel = to + panels.at(p, 8);
  const i64 pair = d / 2 * width + column - panels.column(p);
  return reinterpret_cast<i16*>(panel) + 2 * pair + d % 2;
}

inline void clear_words(i64 columns, i64 depth, char* to, i32* start) {
  const PanelLayout panels = panels_of<false>(columns, depth);
  std::memset(to, 0, packed_bytes<false>(columns, depth));
  std::memset(start, 0, panels.vectors * kLanes * sizeof *start);
}

// Keys: a row of words is a column.
void pack_word_columns(const i16* from, i64 row, i64 columns, i64 depth, i64 zero_point,
                       char* to, i32* start) {
  const PanelLayout panels = panels_of<false>(columns, depth);
  clear_words(columns, depth, to, start);
  for (i64 c = 0; c < columns; ++c) {
    const i64 step = 2 * panels.width_of(c / (panels.width * kLanes)) * kLanes;
    const i16* words = from + c * row;
    i16* pair = word_at(panels, c, 0, to);
    u32 sum = 0;
    for (i64 d = 0; d < depth; ++d) {
      pair[d / 2 * step + d % 2] = words[d];
      sum += static_cast<u32>(words[d]);
    }
    start[c] = start_of(sum, zero_point);
  }
}

// Values: a row of words is one depth of all columns.
void pack_word_depths(const i16* from, i64 row, i64 columns, i64 depth, i64 zero_point,
                      char* to, i32* start) {
  const PanelLayout panels = panels_of<false>(columns, depth);
  clear_words(columns, depth, to, start);
  for (i64 d = 0; d < depth; ++d) {
    const i16* words = from + d * row;
    for (i64 p = 0; p < panels.count; ++p) {
      const i64 first = panels.column(p), width = panels.width_of(p) * kLanes;
      const i64 end = columns - first < width ? columns - first : width;
      i16* pair = word_at(panels, first, d, to);
      for (i64 c = 0; c < end; ++c) pair[2 * c] = words[first + c];
    }
    // Wraps after 65536 depths, as it may.
    const u32 factor = static_cast<u32>(-zero_point);
    for (i64 c = 0; c < columns; ++c) {
      const u32 sum = static_cast<u32>(start[c]) + static_cast<u32>(words[c]) * factor;
      start[c] = static_cast<i32>(sum);
    }
  }
}

}  // namespace
}  // namespace iptq
