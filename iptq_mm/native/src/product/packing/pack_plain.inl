// Keys as panels of bytes: nothing by hand.
#pragma once

#include "product/panels.h"

namespace iptq {
namespace {

inline i64 pack_vectors(const u8*, i64, i64, i64, i64, const PanelLayout&, char*, i32*) {
  return 0;
}

// Depths of values side by side: nothing by hand.
template <class Element>
inline i64 interleave_vectors(const u8*, i64, i64, Element*) {
  return 0;
}

}  // namespace
}  // namespace iptq
