// The kernels for x86 with AVX2.
#include "tile_plain.inl"
#include "epilogue_plain.inl"
#include "layer_norm_plain.inl"
#include "softmax_plain.inl"
#include "pack_plain.inl"
#include "kernels.inl"
#include "kernels.h"

namespace iptq {
Kernels avx2_kernels() { return all_kernels(); }
}  // namespace iptq
