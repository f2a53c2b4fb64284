// The kernels for WebAssembly with vectors of 128 bits.
#include "epilogue/epilogue_simd128.inl"
#include "normalization/layer_norm_plain.inl"
#include "product/packing/pack_plain.inl"
#include "product/tiles/tile_simd128.inl"
#include "softmax/softmax_plain.inl"
#include "isa/kernels.inl"

namespace iptq {
Kernels simd128_kernels() { return all_kernels(); }
}  // namespace iptq
