// Elements moved: between strided tensors, or in runs from anywhere.
#pragma once

#include <cstring>

#include "elementwise/strided.inl"
#include "elementwise/turn.inl"

namespace iptq {
namespace {

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
    const i64 from = c.runs_from[run];  // may be computed: nothing beyond the last
    if (static_cast<u64>(from) <= static_cast<u64>(c.last))
      std::memcpy(to, c.a + from, c.size);
    else
      for (i64 i = 0; i < c.size; i += c.element)
        std::memcpy(to + i, &c.zero_point, c.element);  // little-endian
  }
}

}  // namespace
}  // namespace iptq
