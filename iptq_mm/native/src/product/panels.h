// How weights lie: panels of `width` vectors of 16 columns, each the whole depth.
//
// Within a panel: groups of 4 depths, in a group the columns, in a column its 4
// bytes (or, at 4 bits, 2 bytes with the lower depth in the lower half). Columns
// and depths that are missing are zeros. The last panel may be narrower.
#pragma once

#include "arithmetic.inl"

namespace iptq {
namespace {

struct PanelLayout {
  i64 groups, vectors, width, count;

  PanelLayout(i64 n, i64 k, i64 width)
      : groups(ceil_div(k, 4)),
        vectors(ceil_div(n, kLanes)),
        width(width),
        count(ceil_div(vectors, width)) {}

  i64 width_of(i64 panel) const {
    i64 rest = vectors - panel * width;
    return rest < width ? rest : width;
  }
  i64 column(i64 panel) const { return panel * width * kLanes; }
  // Bytes before a panel.
  i64 at(i64 panel, i64 bits) const {
    return column(panel) * groups * 4 * bits / 8;
  }
};

}  // namespace
}  // namespace iptq
