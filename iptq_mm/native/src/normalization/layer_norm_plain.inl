// Rows of a LayerNorm: nothing by hand.
#pragma once

#include "normalization/layer_norm_any.inl"

namespace iptq {
namespace {

inline Moments moments_of(const i16* x, i64 size) { return any_moments_of(x, size); }

inline void normalized(const LayerNorm& n, const i16* x, i64 factor, i64 centre,
                       i64 reciprocal, i64 target) {
  any_normalized(n, x, 0, factor, centre, reciprocal, target);
}

// fqvit_layernorm: nothing by hand.
inline bool scales_quickly(const LayerNorm&) { return false; }
inline bool scaled_quickly(const LayerNorm&, const i16*, i64, i64, i64, i64, i64) {
  return false;
}

}  // namespace
}  // namespace iptq
