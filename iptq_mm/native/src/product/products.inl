// The kernels of products alone, for instruction sets that multiply in a way of their own
// and have all others from another one. The including file has included what these need.
#pragma once

#include <algorithm>
#include <array>

#include "isa/kernels.h"
#include "product/gemm.inl"
#include "product/matmul.inl"
#include "softmax/attention.inl"

namespace iptq {
namespace {

// The kernels of `others`, but for products.
inline std::array<Kernel, kKinds> with_products(Kernels others) {
  std::array<Kernel, kKinds> all;
  std::copy_n(others, kKinds, all.begin());
  all[static_cast<int>(Kind::Gemm)] = {gemm_tasks, gemm_scratch, gemm_run};
  all[static_cast<int>(Kind::Attention)] = {attention_tasks, attention_scratch,
                                            attention_run};
  all[static_cast<int>(Kind::MatMul)] = {matmul_tasks, matmul_scratch, matmul_run};
  return all;
}

}  // namespace
}  // namespace iptq
