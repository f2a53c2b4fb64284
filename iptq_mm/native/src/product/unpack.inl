// Panels of weights brought to the form of this instruction set's products.
#pragma once

#include "product/panels.h"

namespace iptq {
namespace {

// Two 4-bit weights of each byte, the lower half first.
inline void unpack_halves(const i8* from, i64 count, i8* to) {
  for (i64 i = 0; i < count; ++i) {
    to[2 * i] = static_cast<i8>(static_cast<i8>(static_cast<u8>(from[i]) << 4) >> 4);
    to[2 * i + 1] = static_cast<i8>(from[i] >> 4);
  }
}

// Groups of 4 depths become two groups of pairs of int16.
inline void widen_group(const i8* from, i64 columns, i16* to) {
  for (i64 half = 0; half < 2; ++half)
    for (i64 c = 0; c < columns; ++c)
      for (i64 i = 0; i < 2; ++i)
        to[2 * (half * columns + c) + i] = from[4 * c + 2 * half + i];
}

template <bool Bytes>
void unpack_panel(const i8* from, i64 bits, i64 groups, i64 columns, char* to) {
  const i64 size = columns * 4;
  if (Bytes) return unpack_halves(from, groups * size / 2, reinterpret_cast<i8*>(to));
  i8 group[kTileColumns * 4];
  for (i64 g = 0; g < groups; ++g, from += size * bits / 8, to += 2 * size) {
    const i8* bytes = from;
    if (bits == 4) {
      unpack_halves(from, size / 2, group);
      bytes = group;
    }
    widen_group(bytes, columns, reinterpret_cast<i16*>(to));
  }
}

// `depth` bytes from `from` on of the rows at each tap as int16, pointed at instead.
inline void widen_rows(const char** rows, i64 taps, i64 count, i64 from, i64 depth,
                       char* to) {
  for (i64 t = 0; t < taps; ++t, rows += kTileRows)
    for (i64 i = 0; i < count; ++i, to += 2 * depth) {
      const u8* codes = reinterpret_cast<const u8*>(rows[i]) + from;
      i16* wide = reinterpret_cast<i16*>(to);
      for (i64 d = 0; d < depth; ++d) wide[d] = codes[d];
      rows[i] = to;
    }
}

}  // namespace
}  // namespace iptq
