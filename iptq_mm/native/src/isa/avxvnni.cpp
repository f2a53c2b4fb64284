// The kernels for x86 with products of bytes in 256 bits (AVX-VNNI); all others as AVX2 has
// them.
#include <algorithm>
#include <array>

#include "epilogue/epilogue_avx2.inl"
#include "isa/kernels.h"
#include "product/packing/pack_plain.inl"
#include "product/tiles/tile_avx2.inl"
#include "softmax/softmax_avx2.inl"

#include "product/gemm.inl"
#include "product/matmul.inl"
#include "softmax/attention.inl"

namespace iptq {

Kernels avxvnni_kernels() {
  static const std::array<Kernel, kKinds> kernels = [] {
    std::array<Kernel, kKinds> all;
    std::copy_n(avx2_kernels(), kKinds, all.begin());
    all[static_cast<int>(Kind::Gemm)] = {gemm_tasks, gemm_scratch, gemm_run};
    all[static_cast<int>(Kind::Attention)] = {attention_tasks, attention_scratch,
                                              attention_run};
    all[static_cast<int>(Kind::MatMul)] = {matmul_tasks, matmul_scratch, matmul_run};
    return all;
  }();
  return kernels.data();
}

}  // namespace iptq
