// All kernels, compiled once for each instruction set. The including file has included
// what is written by hand for its instruction set (*_avx512.inl), or the plain forms of
// it (*_plain.inl).
#include "elementwise/conversions.inl"
#include "elementwise/copying.inl"
#include "elementwise/elementwise.inl"
#include "elementwise/reduction.inl"
#include "isa/kernels.h"
#include "normalization/layer_norm.inl"
#include "product/gemm.inl"
#include "product/matmul.inl"
#include "softmax/attention.inl"

// Files of programs have none of these (runtime/): the runtime library is smaller without.
#ifndef IPTQ_RUNTIME
#include "detection/roi_align.inl"
#include "elementwise/watch.inl"
#endif

namespace iptq {
namespace {

// In the order of IPTQ_COMMANDS.
const Kernel* all_kernels() {
  static const Kernel kernels[kKinds] = {
      {gemm_tasks, gemm_scratch, gemm_run},
      {attention_tasks, attention_scratch, attention_run},
      {layer_norm_tasks, no_scratch, layer_norm_run},
      {strided_tasks<Add>, no_scratch, add_run},
      {strided_tasks<Multiply>, no_scratch, multiply_run},
      {strided_tasks<Lookup>, no_scratch, lookup_run},
      {strided_tasks<Copy>, no_scratch, copy_run},
      {gather_tasks, no_scratch, gather_run},
      {mean_tasks, no_scratch, mean_run},
      {softmax_tasks, softmax_scratch, softmax_run},
      {matmul_tasks, matmul_scratch, matmul_run},
      {conversion_tasks<Quantize>, no_scratch, quantize_run},
      {conversion_tasks<Dequantize>, no_scratch, dequantize_run},
#ifndef IPTQ_RUNTIME
      {roi_align_tasks, no_scratch, roi_align_run},
      {strided_tasks<Watch>, no_scratch, watch_run},
#endif
  };
  return kernels;
}

}  // namespace
}  // namespace iptq
