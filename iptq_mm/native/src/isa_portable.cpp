// The kernels for any CPU.
#include "tile_plain.inl"
#include "epilogue_plain.inl"
#include "layer_norm_plain.inl"
#include "softmax_plain.inl"
#include "pack_plain.inl"
#include "kernels.inl"
#include "kernels.h"

namespace iptq {
Kernels portable_kernels() { return all_kernels(); }
}  // namespace iptq
