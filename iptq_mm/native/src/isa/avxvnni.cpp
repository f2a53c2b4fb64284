// The kernels for x86 with products of bytes in 256 bits (AVX-VNNI); all others as AVX2 has
// them.
#include "epilogue/epilogue_avx2.inl"
#include "product/packing/pack_plain.inl"
#include "product/tiles/tile_avx2.inl"
#include "softmax/softmax_avx2.inl"
#include "product/products.inl"

namespace iptq {

Kernels avxvnni_kernels() {
  static const auto kernels = with_products(avx2_kernels());
  return kernels.data();
}

}  // namespace iptq
