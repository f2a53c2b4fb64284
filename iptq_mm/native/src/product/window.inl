// The pixels that each row of a product takes.
#pragma once

#include "commands.h"

namespace iptq {
namespace {

// Points at row `row + i` of `a` in to[i].
inline void point_rows(const Gemm& g, i64 row, i64 rows, const char** to) {
  const u8* a = g.a + row * g.a_row;
  for (i64 i = 0; i < rows; ++i) to[i] = reinterpret_cast<const char*>(a + i * g.a_row);
}

// Points at what pixel `row + i` of the result takes at tap t in to[t * kTileRows + i].
inline void point_pixels(const Gemm& g, i64 row, i64 rows, const char** to) {
  const Window& w = g.window;
  i64 x = row % w.out_width, y = row / w.out_width;
  const u8* image = g.a + y / w.out_height * w.image;
  y %= w.out_height;
  for (i64 i = 0; i < rows; ++i) {
    const i64 left = x * w.stride_width - w.pad_left;
    const i64 top = y * w.stride_height - w.pad_top;
    const char** tap = to + i;
    for (i64 ky = 0; ky < w.kernel_height; ++ky) {
      const i64 at_y = top + ky * w.dilation_height;
      const bool inside = at_y >= 0 && at_y < w.height;
      const u8* line = image + at_y * w.row;
      for (i64 kx = 0; kx < w.kernel_width; ++kx, tap += kTileRows) {
        const i64 at_x = left + kx * w.dilation_width;
        const bool there = inside && at_x >= 0 && at_x < w.width;
        *tap = reinterpret_cast<const char*>(there ? line + at_x * w.pixel : w.zeros);
      }
    }
    if (++x < w.out_width) continue;
    x = 0;
    if (++y < w.out_height) continue;
    y = 0;
    image += w.image;
  }
}

}  // namespace
}  // namespace iptq
