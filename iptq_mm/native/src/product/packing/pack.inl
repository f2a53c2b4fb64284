// Keys and values as panels (see panels.h) of bytes or of pairs of int16.
#pragma once

#include <cstring>

#include "product/panels.h"

namespace iptq {
namespace {

// A dword's elements: 4 bytes or 2 int16.
template <bool Bytes>
struct Dword {
  using Element = i16;
  static constexpr i64 size = 2;
};

template <>
struct Dword<true> {
  using Element = i8;
  static constexpr i64 size = 4;
};

template <bool Bytes>
PanelLayout panels_of(i64 columns, i64 depth) {
  constexpr i64 unit = Bytes ? kTileDepth : 2;
  return PanelLayout(columns, ceil_div(depth, unit) * unit * (Bytes ? 1 : 2), kMaxWidth);
}

template <bool Bytes>
i64 packed_bytes(i64 columns, i64 depth) {
  const PanelLayout panels = panels_of<Bytes>(columns, depth);
  return panels.vectors * kLanes * panels.groups * 4;
}

// The integer of a byte that is stored with the zero point 128.
inline i8 centred(u8 code) { return static_cast<i8>(code ^ 0x80); }

// The elements of `count` depths of a column; zeros follow.
template <bool Bytes>
inline void pack_dword(const u8* codes, i64 count, char* to) {
  constexpr i64 size = Dword<Bytes>::size;
  if (Bytes && count >= size) {
    u32 dword;
    std::memcpy(&dword, codes, 4);
    dword ^= 0x80808080u;
    std::memcpy(to, &dword, 4);
    return;
  }
  typename Dword<Bytes>::Element dword[size] = {};
  for (i64 i = 0; i < size && i < count; ++i) dword[i] = centred(codes[i]);
  std::memcpy(to, dword, 4);
}

inline i32 sum_of(const u8* codes, i64 count) {
  i32 total = 0;
  for (i64 i = 0; i < count; ++i) total += codes[i];
  return total - 128 * static_cast<i32>(count);
}

// Keys: a row of bytes is a column. start[c] = -zero_point * sum of the column, where
// zero_point is that of the left operand.
template <bool Bytes>
void pack_columns(const u8* from, i64 row, i64 columns, i64 depth, i64 zero_point,
                  char* to, i32* start) {
  constexpr i64 size = Dword<Bytes>::size;
  if (Bytes) zero_point -= kRowShift;
  const PanelLayout panels = panels_of<Bytes>(columns, depth);
  std::memset(to, 0, packed_bytes<Bytes>(columns, depth));
  std::memset(start, 0, panels.vectors * kLanes * sizeof *start);
  i64 c = 0;
  if (Bytes) c = pack_vectors(from, row, columns, depth, zero_point, panels, to, start);
  for (; c < columns; ++c) {
    const i64 p = c / (panels.width * kLanes), width = panels.width_of(p) * kLanes;
    char* panel = to + panels.at(p, 8) + (c - panels.column(p)) * 4;
    const u8* codes = from + c * row;
    start[c] = sum_of(codes, depth) * static_cast<i32>(-zero_point);
    for (i64 d = 0; d < depth; d += size)
      pack_dword<Bytes>(codes + d, depth - d, panel + d / size * width * 4);
    if (Bytes && c + 1 == columns) form_panels(panels, to);
  }
}

// `Size` rows of values side by side: element i of a column is in row i.
template <i64 Size, class Element>
inline void interleave(const u8* __restrict codes, i64 row, i64 columns,
                       Element* __restrict to) {
  for (i64 c = interleave_vectors(codes, row, columns, to); c < columns; ++c)
    for (i64 i = 0; i < Size; ++i) to[c * Size + i] = centred(codes[i * row + c]);
}

// Values: a row of bytes is one depth of all columns.
template <bool Bytes>
void pack_depths(const u8* from, i64 row, i64 columns, i64 depth, i64 zero_point,
                 char* to, i32* __restrict start) {
  using Element = typename Dword<Bytes>::Element;
  constexpr i64 size = Dword<Bytes>::size;
  if (Bytes) zero_point -= kRowShift;
  const PanelLayout panels = panels_of<Bytes>(columns, depth);
  const i64 padded = panels.vectors * kLanes;
  std::memset(to, 0, packed_bytes<Bytes>(columns, depth));
  std::memset(start, 0, padded * sizeof *start);
  if (zero_point) {
    for (i64 d = 0; d < depth; ++d)
      for (i64 c = 0; c < columns; ++c) start[c] += from[d * row + c];
    const i32 factor = static_cast<i32>(-zero_point);
    for (i64 c = 0; c < columns; ++c)
      start[c] = (start[c] - 128 * static_cast<i32>(depth)) * factor;
  }
  for (i64 p = 0; p < panels.count; ++p) {
    const i64 width = panels.width_of(p) * kLanes, first = panels.column(p);
    const i64 end = columns - first < width ? columns - first : width;
    char* panel = to + panels.at(p, 8);
    for (i64 d = 0; d < depth; d += size) {
      Element* group = reinterpret_cast<Element*>(panel + d / size * width * 4);
      const u8* codes = from + d * row + first;
      if (d + size <= depth) {
        interleave<size>(codes, row, end, group);
        continue;
      }
      for (i64 c = 0; c < end; ++c)
        for (i64 i = 0; d + i < depth; ++i)
          group[c * size + i] = centred(codes[i * row + c]);
    }
  }
  if (Bytes) form_panels(panels, to);
}

}  // namespace
}  // namespace iptq
