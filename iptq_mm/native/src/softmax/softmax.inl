// Softmax of a row, and of rows that are no part of an attention.
#pragma once

#include <type_traits>

#include "arithmetic.inl"
#include "product/panels.h"
#include "tasks.inl"

namespace iptq {
namespace {

// Scores of at most kTileRows rows become codes of probabilities; nothing is left of
// them.
template <class T>
void softmax_rows(const Softmax& s, const Tables& tables, i32* scores, i64 distance,
                  i64 rows, i64 keys, Scores form, T* p, i64 p_row) {
  if constexpr (!std::is_same<T, SplitWord>::value) {
    if (s.form == kPowers) {
      for (i64 r = 0; r < rows; ++r)
        powers(s, scores + r * distance, keys, p + r * p_row);
      return;
    }
  }
  quotients(s, tables, scores, distance, rows, keys, form, p, p_row);
}

// Elements that a row has room for; vectors go beyond its end.
inline i64 padded_row(i64 size) { return ceil_div(size, 2 * kLanes) * 2 * kLanes; }

i64 softmax_tasks(const void* command, i64 threads) {
  const SoftmaxRows& c = *static_cast<const SoftmaxRows*>(command);
  return few_tasks(c.rows, c.rows * c.size, threads);
}

i64 softmax_scratch(const void* command) {
  return padded_row(static_cast<const SoftmaxRows*>(command)->size) * 8;
}

void softmax_run(const void* command, i64 task, i64 tasks, char* scratch) {
  const SoftmaxRows& c = *static_cast<const SoftmaxRows*>(command);
  const i64 padded = padded_row(c.size), end = c.rows * (task + 1) / tasks;
  const Tables tables(c.softmax);
  i32* scores = reinterpret_cast<i32*>(scratch);
  i32* p = scores + padded;
  for (i64 row = c.rows * task / tasks; row < end; ++row) {
    read_row(c.x_type, c.x_zero_point, c.x, row * c.x_row, 1, c.size, scores);
    softmax_rows(c.softmax, tables, scores, padded, 1, c.size, kAsNumbers, p, padded);
    write_row(c.out_type, 0, c.out, row * c.out_row, 1, c.size, p);
  }
}

}  // namespace
}  // namespace iptq
