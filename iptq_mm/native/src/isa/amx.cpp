// The kernels for x86 with AMX: products of bytes by its tiles, all others as AVX512 has
// them.
#define IPTQ_AMX_TILES

#include "epilogue/epilogue_avx512.inl"
#include "product/packing/pack_avx512.inl"
#include "product/tiles/split_amx.inl"
#include "product/tiles/tile_amx.inl"
#include "softmax/softmax_avx512.inl"
#include "product/products.inl"

namespace iptq {

Kernels amx_kernels() {
  static const auto kernels = with_products(avx512vnni_kernels());
  return kernels.data();
}

}  // namespace iptq
