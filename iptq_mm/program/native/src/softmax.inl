// Softmax of a row, and of rows that are no part of an attention.
#pragma once

#include "arithmetic.inl"
#include "elementwise.inl"

namespace iptq {
namespace {

// Scores become codes of probabilities; `e` has room for the row.
template <class T>
void softmax_row(const Softmax& s, const Tables& tables, i32* scores, i64 keys, i64* e,
                 T* p) {
  if (s.form == kPowers) powers(s, scores, keys, p);
  else quotients(s, tables, scores, keys, e, p);
}

// Elements that a row has room for; vectors go beyond its end.
inline i64 padded_row(i64 size) { return ceil_div(size, 2 * kLanes) * 2 * kLanes; }

i64 softmax_tasks(const void* command, i64 threads) {
  const SoftmaxRows& c = *static_cast<const SoftmaxRows*>(command);
  return few_tasks(c.rows, c.rows * c.size, threads);
}

i64 softmax_scratch(const void* command) {
  return padded_row(static_cast<const SoftmaxRows*>(command)->size) * 16;
}

void softmax_run(const void* command, i64 task, i64 tasks, char* scratch) {
  const SoftmaxRows& c = *static_cast<const SoftmaxRows*>(command);
  const i64 padded = padded_row(c.size), end = c.rows * (task + 1) / tasks;
  const Tables tables(c.softmax);
  i64* e = reinterpret_cast<i64*>(scratch);
  i32* scores = reinterpret_cast<i32*>(e + padded);
  i32* p = scores + padded;
  for (i64 row = c.rows * task / tasks; row < end; ++row) {
    read_row(c.x_type, c.x_base, c.x, row * c.x_row, 1, c.size, scores);
    softmax_row(c.softmax, tables, scores, c.size, e, p);
    write_row(c.out_type, 0, c.out, row * c.out_row, 1, c.size, p);
  }
}

}  // namespace
}  // namespace iptq
