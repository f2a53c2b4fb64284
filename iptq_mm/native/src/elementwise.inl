// Commands on strided tensors: rows of the last dimension, a few at a time.
#pragma once

#include <cstring>

#include "arithmetic.inl"
#include "panels.h"
#include "turn.inl"

namespace iptq {
namespace {

constexpr i64 kRun = 256;  // elements that are worked on at a time

inline i64 no_scratch(const void*) { return 0; }

inline i64 few_tasks(i64 units, i64 elements, i64 threads) {
  i64 tasks = threads > 1 ? threads * 4 : 1;
  const i64 worthwhile = elements / 4096 + 1;
  tasks = tasks < worthwhile ? tasks : worthwhile;
  return tasks < units ? tasks : units;
}

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

void add_run(const void* command, i64 task, i64 tasks, char*) {
  const Add& c = *static_cast<const Add*>(command);
  const Sum& s = c.sum;
  const bool same = s.left == 1 && s.offset == 0 && s.shift == 0 && !c.b.data &&
                    s.low == INT32_MIN && s.high == INT32_MAX;
  const bool bytes = c.a.type <= kI8 && c.out.type <= kI8;
  if (same && bytes && turns(c.out, c.a, 1)) {
    const u8 add = static_cast<u8>(c.out.zero_point - c.a.zero_point);
    return turn<u8>(c.shape, c.out, c.a, add, task, tasks);
  }
  i32 a[kRun] = {}, b[kRun] = {};
  for_runs(c.shape, task, tasks, [&](const Row& row, i64 first, i64 count) {
    read_view(c.a, row, first, count, a);
    if (c.b.data) read_view(c.b, row, first, count, b);
    if (!same) add_rows(s, a, b, count);
    write_view(c.out, row, first, count, a);
  });
}

void multiply_run(const void* command, i64 task, i64 tasks, char*) {
  const Multiply& c = *static_cast<const Multiply*>(command);
  for_runs(c.shape, task, tasks, [&](const Row& row, i64 first, i64 count) {
    i32 a[kRun], b[kRun];
    read_view(c.a, row, first, count, a);
    read_view(c.b, row, first, count, b);
    for (i64 i = 0; i < count; ++i)
      a[i] = requantized(static_cast<i64>(a[i]) * b[i], c.result);
    write_view(c.out, row, first, count, a);
  });
}

void lookup_run(const void* command, i64 task, i64 tasks, char*) {
  const Lookup& c = *static_cast<const Lookup*>(command);
  for_runs(c.shape, task, tasks, [&](const Row& row, i64 first, i64 count) {
    i32 a[kRun];
    read_view(c.a, row, first, count, a);
    for (i64 i = 0; i < count; ++i) a[i] = c.table[a[i] - c.first];
    write_view(c.out, row, first, count, a);
  });
}

template <class T>
void copy_elements(const Copy& c, const Row& row, i64 first, i64 count) {
  const i64 in = c.a.stride[kDims - 1], out = c.out.stride[kDims - 1];
  const T* from = static_cast<const T*>(c.a.data) + row.at(c.a.stride);
  T* to = static_cast<T*>(c.out.data) + row.at(c.out.stride);
  if (in == 1 && out == 1) {
    std::memcpy(to + first, from + first, count * sizeof(T));
    return;
  }
  for (i64 i = first; i < first + count; ++i) to[i * out] = from[i * in];
}

// Short runs of `Bytes` bytes: a call of memcpy would take longer than they do.
template <int Bytes>
void copy_runs(const Copy& c, i64 task, i64 tasks) {
  i64 shape[kDims] = {1};  // of the runs
  for (int d = 1; d < kDims; ++d) shape[d] = c.shape[d - 1];
  const i64 in = c.a.stride[kDims - 2] * c.size, out = c.out.stride[kDims - 2] * c.size;
  View a = c.a, made = c.out;
  for (int d = kDims - 1; d > 0; --d) {
    a.stride[d] = a.stride[d - 1];
    made.stride[d] = made.stride[d - 1];
  }
  for_runs(shape, task, tasks, [&](const Row& row, i64 first, i64 count) {
    const char* from = static_cast<const char*>(a.data) + row.at(a.stride) * c.size;
    char* to = static_cast<char*>(made.data) + row.at(made.stride) * c.size;
    for (i64 i = first; i < first + count; ++i)
      std::memcpy(to + i * out, from + i * in, Bytes);
  });
}

bool copied_as_runs(const Copy& c, i64 task, i64 tasks) {
  const i64 last = kDims - 1;
  if (c.a.stride[last] != 1 || c.out.stride[last] != 1) return false;
  switch (c.shape[last] * c.size) {
    case 4: return copy_runs<4>(c, task, tasks), true;
    case 8: return copy_runs<8>(c, task, tasks), true;
    case 16: return copy_runs<16>(c, task, tasks), true;
    case 32: return copy_runs<32>(c, task, tasks), true;
    case 64: return copy_runs<64>(c, task, tasks), true;
    default: return false;
  }
}

void copy_run(const void* command, i64 task, i64 tasks, char*) {
  const Copy& c = *static_cast<const Copy*>(command);
  if (copied_as_runs(c, task, tasks)) return;
  if (turns(c.out, c.a, c.size))
    return c.size == 1 ? turn<u8>(c.shape, c.out, c.a, 0, task, tasks)
                       : turn<i16>(c.shape, c.out, c.a, 0, task, tasks);
  for_runs(c.shape, task, tasks, [&](const Row& row, i64 first, i64 count) {
    switch (c.size) {
      case 1: return copy_elements<u8>(c, row, first, count);
      case 2: return copy_elements<i16>(c, row, first, count);
      case 4: return copy_elements<i32>(c, row, first, count);
      default: return copy_elements<i64>(c, row, first, count);
    }
  });
}

i64 gather_tasks(const void* command, i64 threads) {
  const Gather& c = *static_cast<const Gather*>(command);
  return few_tasks(c.runs, c.runs * c.size, threads);
}

void gather_run(const void* command, i64 task, i64 tasks, char*) {
  const Gather& c = *static_cast<const Gather*>(command);
  const i64 end = c.runs * (task + 1) / tasks;
  for (i64 run = c.runs * task / tasks; run < end; ++run) {
    u8* to = c.out + run * c.size;
    if (c.from[run] >= 0)
      std::memcpy(to, c.a + c.from[run], c.size);
    else
      for (i64 i = 0; i < c.size; i += c.element)
        std::memcpy(to + i, &c.zero_point, c.element);  // little-endian
  }
}

i64 mean_tasks(const void* command, i64 threads) {
  const Mean& c = *static_cast<const Mean*>(command);
  i64 kept = 1, all = 1;
  for (int d = 0; d < kDims; ++d) all *= c.shape[d];
  for (i64 d = 0; d < c.kept; ++d) kept *= c.shape[d];
  return few_tasks(kept, all, threads);
}

void mean_run(const void* command, i64 task, i64 tasks, char*) {
  const Mean& c = *static_cast<const Mean*>(command);
  i64 kept = 1, summed = 1;
  for (i64 d = 0; d < c.kept; ++d) kept *= c.shape[d];
  for (i64 d = c.kept; d < kDims; ++d) summed *= c.shape[d];
  const i64 last = c.shape[kDims - 1], rows = summed / last;
  const i64 end = kept * (task + 1) / tasks;
  for (i64 k = kept * task / tasks; k < end; ++k) {
    i64 total = 0;
    Row row(c.shape, k * rows);
    for (i64 r = 0; r < rows; ++r, row.next(c.shape)) {
      for (i64 first = 0; first < last; first += kRun) {
        i32 a[kRun];
        const i64 count = last - first < kRun ? last - first : kRun;
        read_view(c.a, row, first, count, a);
        for (i64 i = 0; i < count; ++i) total += a[i];
      }
    }
    const i32 mean = requantized(total, c.result);
    write_view(c.out, Row(c.shape, k * rows), 0, 1, &mean);
  }
}

}  // namespace
}  // namespace iptq
