// Loops over strided tensors: rows of the last dimension, a few elements at a time.
#pragma once

#include "arithmetic.inl"
#include "tasks.inl"

namespace iptq {
namespace {

constexpr i64 kRun = 256;  // elements that are worked on at a time

inline i64 rows_of(const i64* shape) {
  i64 rows = 1;
  for (int d = 0; d + 1 < kDims; ++d) rows *= shape[d];
  return rows;
}

// A row's place: its number counted through the leading dimensions.
struct Row {
  i64 index[kDims - 1];

  Row(const i64* shape, i64 row) {
    for (int d = kDims - 2; d >= 0; --d) {
      index[d] = row % shape[d];
      row /= shape[d];
    }
  }

  void next(const i64* shape) {
    for (int d = kDims - 2; d >= 0 && ++index[d] == shape[d]; --d) index[d] = 0;
  }

  i64 at(const i64* stride) const {
    i64 at = 0;
    for (int d = 0; d + 1 < kDims; ++d) at += index[d] * stride[d];
    return at;
  }
};

template <class Command>
i64 strided_tasks(const void* command, i64 threads) {
  const i64* shape = static_cast<const Command*>(command)->shape;
  const i64 rows = rows_of(shape), last = shape[kDims - 1];
  return few_tasks(rows * ceil_div(last, kRun), rows * last, threads);
}

// Calls body(row's place, first, count) for the runs of a task.
template <class Body>
void for_runs(const i64* shape, i64 task, i64 tasks, Body body) {
  const i64 last = shape[kDims - 1], parts = ceil_div(last, kRun);
  const i64 runs = rows_of(shape) * parts, end = runs * (task + 1) / tasks;
  const i64 begin = runs * task / tasks;
  i64 part = begin % parts;
  Row row(shape, begin / parts);
  for (i64 run = begin; run < end; ++run) {
    const i64 first = part * kRun;
    body(row, first, last - first < kRun ? last - first : kRun);
    if (++part < parts) continue;
    part = 0;
    row.next(shape);
  }
}

inline void read_view(const View& v, const Row& row, i64 first, i64 count, i32* to) {
  const i64 stride = v.stride[kDims - 1];
  const i64 at = row.at(v.stride) + first * stride;
  read_row(v.type, v.zero_point, v.data, at, stride, count, to);
}

inline void write_view(const View& v, const Row& row, i64 first, i64 count,
                       const i32* from) {
  const i64 stride = v.stride[kDims - 1];
  const i64 at = row.at(v.stride) + first * stride;
  write_row(v.type, v.zero_point, v.data, at, stride, count, from);
}

}  // namespace
}  // namespace iptq
