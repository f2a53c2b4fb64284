// Functions of single elements: sums, products, tables.
#pragma once

#include "elementwise/strided.inl"
#include "elementwise/turn.inl"

namespace iptq {
namespace {

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
    // A program never leaves the table; a file that says so is no proof.
    for (i64 i = 0; i < count; ++i)
      a[i] = c.table[clamp(a[i] - c.first, 0, c.last)];
    write_view(c.out, row, first, count, a);
  });
}

}  // namespace
}  // namespace iptq
