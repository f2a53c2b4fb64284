// The kernels for 64-bit ARM with NEON, which all have.
#define IPTQ_NEON_TILES

#include "epilogue/epilogue_neon.inl"
#include "normalization/layer_norm_neon.inl"
#include "product/packing/pack_neon.inl"
#include "product/tiles/tile_neon.inl"
#include "softmax/softmax_neon.inl"
#include "isa/kernels.inl"

namespace iptq {
Kernels neon_kernels() { return all_kernels(); }
}  // namespace iptq
