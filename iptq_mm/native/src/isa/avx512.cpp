// The kernels for x86 with AVX512 and its byte products.
#include "epilogue/epilogue_avx512.inl"
#include "normalization/layer_norm_avx512.inl"
#include "product/packing/pack_avx512.inl"
#include "product/tiles/tile_avx512.inl"
#include "softmax/softmax_avx512.inl"
#include "isa/kernels.inl"

namespace iptq {
Kernels avx512vnni_kernels() { return all_kernels(); }
}  // namespace iptq
