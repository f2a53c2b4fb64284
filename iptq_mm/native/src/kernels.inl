// All kernels, compiled once for each instruction set. The including file has
// chosen `Isa`: the register tiles and what else is written by hand.
#include "attention.inl"
#include "border.inl"
#include "elementwise.inl"
#include "gemm.inl"
#include "kernels.h"
#include "layer_norm.inl"
#include "matmul.inl"
#include "roi_align.inl"

namespace iptq {
namespace {

const Kernel* all_kernels() {
  static const Kernel kernels[kKinds] = {
      {gemm_tasks, gemm_scratch, gemm_run},
      {attention_tasks, attention_scratch, attention_run},
      {layer_norm_tasks, no_scratch, layer_norm_run},
      {strided_tasks<Affine>, no_scratch, affine_run},
      {strided_tasks<Product>, no_scratch, product_run},
      {strided_tasks<Lookup>, no_scratch, lookup_run},
      {strided_tasks<Copy>, no_scratch, copy_run},
      {gather_tasks, no_scratch, gather_run},
      {mean_tasks, no_scratch, mean_run},
      {softmax_tasks, softmax_scratch, softmax_run},
      {matmul_tasks, matmul_scratch, matmul_run},
      {border_tasks<Quantize>, no_scratch, quantize_run},
      {border_tasks<Dequantize>, no_scratch, dequantize_run},
      {roi_align_tasks, no_scratch, roi_align_run},
  };
  return kernels;
}

}  // namespace
}  // namespace iptq
