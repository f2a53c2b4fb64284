// The kernels for 64-bit ARM with its products of matrices of bytes (usmmla).
#define IPTQ_NEON_TILES
#define IPTQ_I8MM

#include "epilogue/epilogue_neon.inl"
#include "normalization/layer_norm_neon.inl"
#include "product/packing/pack_neon.inl"
#include "product/tiles/tile_neon.inl"
#include "softmax/softmax_neon.inl"
#include "isa/kernels.inl"

namespace iptq {
Kernels i8mm_kernels() { return all_kernels(); }
}  // namespace iptq
