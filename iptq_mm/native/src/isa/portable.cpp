// The kernels for any CPU.
#include "epilogue/epilogue_plain.inl"
#include "normalization/layer_norm_plain.inl"
#include "product/packing/pack_plain.inl"
#include "product/tiles/tile_plain.inl"
#include "softmax/softmax_plain.inl"
#include "isa/kernels.inl"

namespace iptq {
Kernels portable_kernels() { return all_kernels(); }
}  // namespace iptq
