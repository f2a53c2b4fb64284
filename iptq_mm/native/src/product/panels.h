// The layout of packed weights.
//
// A weight w[d][c] multiplies depth d of a row (of all taps: d = tap * k4 + depth within
// the tap, k4 = k rounded up to a multiple of 4) for column c of the result. Columns are
// divided into panels of `width` vectors of 16 columns; the last panel may be narrower. A
// panel holds the whole depth, in groups of 4:
//
//   weights:  | panel 0             | panel 1             | ... | last panel  |
//
//   panel of C columns (C = 16 * width):
//               column 0      column 1            column C-1
//     group 0 | d0 d1 d2 d3 | d0 d1 d2 d3 | ... | d0 d1 d2 d3 |
//     group 1 | d4 d5 d6 d7 | d4 d5 d6 d7 | ... | d4 d5 d6 d7 |
//     ...
//
// A byte product (vpdpbusd) takes 4 depths of 16 columns at a time, that is one vector of
// 64 bytes of a group. Columns and depths that are missing are zeros. With g = d / 4,
// and c counted from the panel's first column, the byte of w[d][c] within its panel is
//
//   (g * C + c) * 4 + d % 4                                                    (1)
//
// With 4 bits a weight is half a byte, and (1) counts halves, the lower one first. There
// may be factors, one for `group` depths of a column. They lie beside the weights, panel
// by panel, tap by tap, group by group, column by column, half a byte each: the factor
// less 1, for factors of 1 to 16. The weight is the product.
//
// With 16 bits it is an int16: a product of words (vpdpwssd, vpmaddwd) takes 2 depths at a
// time, so that groups have 2, and w[d][c] is the int16
//
//   (d / 2 * C + c) * 2 + d % 2                                                (2)
//
// Example: k = 8, n = 40, width 2. Panel 0 has the columns 0 to 31 in 256 bytes, panel 1
// the columns 32 to 47, of which 40 to 47 are zeros. w[6][35] is in panel 1, C = 16,
// g = 1, c = 3: byte 256 + (1 * 16 + 3) * 4 + 2 = 334; with 4 bits it is the lower half
// of byte 167.
#pragma once

#include "arithmetic.inl"

namespace iptq {
namespace {

// An unsigned word of a row whose bytes lie apart: those above in its first half, those
// below in the second one.
struct SplitWord {
  u8 above, below;
};

// Where panels of (k, n) weights begin.
struct PanelLayout {
  i64 groups;   // of 4 depths, of a tap
  i64 vectors;  // of 16 columns
  i64 width;    // vectors of a panel, at most
  i64 count;    // panels

  PanelLayout(i64 n, i64 k, i64 width)
      : groups(ceil_div(k, 4)),
        vectors(ceil_div(n, kLanes)),
        width(width),
        count(ceil_div(vectors, width)) {}

  // Vectors of a panel.
  i64 width_of(i64 panel) const {
    i64 rest = vectors - panel * width;
    return rest < width ? rest : width;
  }
  // First column of a panel.
  i64 column(i64 panel) const { return panel * width * kLanes; }
  // Factors before a panel, for each tap.
  i64 factors_at(i64 panel, i64 group) const {
    return column(panel) * ceil_div(groups * 4, group);
  }
  // Bytes before a panel, for each tap.
  i64 at(i64 panel, i64 bits) const {
    return column(panel) * groups * 4 * bits / 8;
  }
};

}  // namespace
}  // namespace iptq
