// The kernels for 64-bit ARM with its products of four bytes (sdot).
#define IPTQ_NEON_TILES
#define IPTQ_DOTPROD

#include "epilogue/epilogue_neon.inl"
#include "normalization/layer_norm_neon.inl"
#include "product/packing/pack_neon.inl"
#include "product/tiles/tile_neon.inl"
#include "softmax/softmax_neon.inl"
#include "isa/kernels.inl"

namespace iptq {
Kernels dotprod_kernels() { return all_kernels(); }
}  // namespace iptq
