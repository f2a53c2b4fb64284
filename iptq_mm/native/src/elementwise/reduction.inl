// Means and maxima along the last dimensions.
#pragma once

#include "elementwise/strided.inl"

namespace iptq {
namespace {

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
    i64 total = c.largest ? INT32_MIN : 0;
    Row row(c.shape, k * rows);
    for (i64 r = 0; r < rows; ++r, row.next(c.shape)) {
      for (i64 first = 0; first < last; first += kRun) {
        i32 a[kRun];
        const i64 count = last - first < kRun ? last - first : kRun;
        read_view(c.a, row, first, count, a);
        if (c.largest) {
          for (i64 i = 0; i < count; ++i) total = a[i] > total ? a[i] : total;
        } else {
          for (i64 i = 0; i < count; ++i) total += a[i];
        }
      }
    }
    const i32 result = requantized(total, c.result);
    write_view(c.out, Row(c.shape, k * rows), 0, 1, &result);
  }
}

}  // namespace
}  // namespace iptq
