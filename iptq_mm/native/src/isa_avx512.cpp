// The kernels for x86 with AVX512 and its byte products.
#include "tile_avx512.inl"
#include "epilogue_avx512.inl"
#include "layer_norm_avx512.inl"
#include "softmax_avx512.inl"
#include "pack_avx512.inl"
#include "kernels.inl"
#include "kernels.h"

namespace iptq {
Kernels avx512vnni_kernels() { return all_kernels(); }
}  // namespace iptq
