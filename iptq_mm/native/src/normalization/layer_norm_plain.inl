// Rows of a LayerNorm: nothing by hand.
#pragma once

#include "normalization/layer_norm_any.inl"

namespace iptq {
namespace {

inline Moments moments_of(const i16* x, i64 size) { return any_moments_of(x, size); }

inline void normalized(const LayerNorm& n, const i16* x, i64 factor, i64 centre,
                       i64 reciprocal, i64 target) {
  any_normalized(n, x, factor, centre, reciprocal, target);
}

}  // namespace
}  // namespace iptq
