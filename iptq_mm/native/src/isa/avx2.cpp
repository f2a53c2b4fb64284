// The kernels for x86 with AVX2.
#include "epilogue/epilogue_avx2.inl"
#include "normalization/layer_norm_avx2.inl"
#include "product/packing/pack_plain.inl"
#include "product/tiles/tile_avx2.inl"
#include "softmax/softmax_avx2.inl"
#include "isa/kernels.inl"

namespace iptq {
Kernels avx2_kernels() { return all_kernels(); }
}  // namespace iptq
