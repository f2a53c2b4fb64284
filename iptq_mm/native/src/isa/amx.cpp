// The kernels for x86 with AMX: products of bytes by its tiles, all others as AVX512 has
// them.
#define IPTQ_AMX_TILES

#include <algorithm>
#include <array>

#include "epilogue/epilogue_avx512.inl"
#include "isa/kernels.h"
#include "product/packing/pack_avx512.inl"
#include "product/tiles/split_amx.inl"
#include "product/tiles/tile_amx.inl"
#include "softmax/softmax_avx512.inl"

#include "product/gemm.inl"
#include "product/matmul.inl"
#include "softmax/attention.inl"

namespace iptq {

Kernels amx_kernels() {
  static const std::array<Kernel, kKinds> kernels = [] {
    std::array<Kernel, kKinds> all;
    std::copy_n(avx512vnni_kernels(), kKinds, all.begin());
    all[static_cast<int>(Kind::Gemm)] = {gemm_tasks, gemm_scratch, gemm_run};
    all[static_cast<int>(Kind::Attention)] = {attention_tasks, attention_scratch,
                                              attention_run};
    all[static_cast<int>(Kind::MatMul)] = {matmul_tasks, matmul_scratch, matmul_run};
    return all;
  }();
  return kernels.data();
}

}  // namespace iptq
