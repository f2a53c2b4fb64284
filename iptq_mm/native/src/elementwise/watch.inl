// Counting of what a quantizer clips; iptq_mm/out_of_range/counting.py has the slots.
#pragma once

#include "elementwise/strided.inl"

namespace iptq {
namespace {

constexpr i64 kBins = 32;

// Adds a distance of at least 1. Several threads count at a time.
inline void count_distance(i64* counts, i64 side, i64 distance) {
  const i64 bin = 63 - __builtin_clzll(static_cast<u64>(distance));
  __atomic_fetch_add(&counts[side * kBins + bin], 1, __ATOMIC_RELAXED);
  i64* largest = &counts[2 * kBins + side];
  i64 seen = __atomic_load_n(largest, __ATOMIC_RELAXED);
  while (seen < distance &&
         !__atomic_compare_exchange_n(largest, &seen, distance, true, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {
  }
}

void watch_run(const void* command, i64 task, i64 tasks, char*) {
  const Watch& c = *static_cast<const Watch*>(command);
  const i32 low = static_cast<i32>(c.low), high = static_cast<i32>(c.high);
  const i32 least = static_cast<i32>(c.least), most = static_cast<i32>(c.most);
  for_runs(c.shape, task, tasks, [&](const Row& row, i64 first, i64 count) {
    i32 a[kRun];
    read_view(c.a, row, first, count, a);
    i32 smallest = a[0], largest = a[0];
    for (i64 i = 0; i < count; ++i) {
      smallest = a[i] < smallest ? a[i] : smallest;
      largest = a[i] > largest ? a[i] : largest;
    }
    if (smallest < low || largest > high) {
      for (i64 i = 0; i < count; ++i) {
        if (a[i] < low) count_distance(c.counts, 0, i64{low} - a[i]);
        if (a[i] > high) count_distance(c.counts, 1, i64{a[i]} - high);
        a[i] = clamp(a[i], least, most);
      }
    }
    write_view(c.out, row, first, count, a);
  });
}

}  // namespace
}  // namespace iptq
