// ivit_layernorm: the whole row in 64-bit integers, one root and one division.
#pragma once

#include "arithmetic.inl"
#include "panels.h"

namespace iptq {
namespace {

// floor(sqrt(value)) of 0..2**62: the hardware's root, corrected.
inline u64 integer_root(u64 value) {
  u64 root = static_cast<u64>(__builtin_sqrt(static_cast<double>(value)));
  while (root * root > value) --root;
  while ((root + 1) * (root + 1) <= value) ++root;
  return root;
}

inline void normalize_row(const LayerNorm& n, const i16* x, i64 target) {
  const Moments m = moments_of(x, n.size);
  const i64 variance = n.size * m.squares - m.total * m.total;
  const u64 root = integer_root((static_cast<u64>(variance) << (2 * n.root_shift)) +
                                static_cast<u64>(n.epsilon));
  const i64 reciprocal = static_cast<i64>((u64{1} << n.reciprocal_bits) / root);
  normalized(n, x, m.total, reciprocal, target);
}

inline void fill_row(const LayerNorm& n, i64 target) {
  const i32 zero = static_cast<i32>(n.zero);
  for (i64 c = 0; c < n.size; ++c)
    write_row(n.out_type, 0, n.out, target * n.out_row + c, 1, 1, &zero);
}

i64 layer_norm_tasks(const void* command, i64 threads) {
  const i64 blocks = ceil_div(static_cast<const LayerNorm*>(command)->rows, 4);
  const i64 tasks = threads > 1 ? threads * 8 : 1;
  return blocks < tasks ? blocks : tasks;
}

void layer_norm_run(const void* command, i64 task, i64 tasks, char*) {
  const LayerNorm& n = *static_cast<const LayerNorm*>(command);
  const i64 end = n.rows * (task + 1) / tasks;
  for (i64 row = n.rows * task / tasks; row < end; ++row) {
    const i64 source = n.from ? n.from[row] : row;
    if (source < 0) fill_row(n, row);
    else normalize_row(n, n.x + source * n.x_row, row);
  }
}

}  // namespace
}  // namespace iptq
