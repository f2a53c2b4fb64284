// The border of a program: floats become integers, integers floats.
#pragma once

#include "elementwise.inl"

namespace iptq {
namespace {

constexpr i64 kBorderRun = 4096;

template <class Command>
i64 border_tasks(const void* command, i64 threads) {
  const i64 count = static_cast<const Command*>(command)->count;
  return few_tasks(ceil_div(count, kBorderRun), count, threads);
}

// In double precision and with the division of IEEE 754, as torch does it.
template <class T>
void quantize(const float* __restrict x, i64 count, double scale, double low,
              double high, T* __restrict to) {
  for (i64 i = 0; i < count; ++i) {
    double q = __builtin_rint(static_cast<double>(x[i]) / scale);
    q = q < low ? low : q;
    q = q > high ? high : q;
    to[i] = static_cast<T>(static_cast<i32>(q));
  }
}

template <class T>
void dequantize(const T* __restrict x, i64 count, float scale, float* __restrict to) {
  for (i64 i = 0; i < count; ++i) to[i] = static_cast<float>(x[i]) * scale;
}

// Elements of a task: first and number.
struct BorderPart {
  i64 first, count;

  BorderPart(i64 all, i64 task, i64 tasks) {
    const i64 runs = ceil_div(all, kBorderRun);
    const i64 end = runs * (task + 1) / tasks * kBorderRun;
    first = runs * task / tasks * kBorderRun;
    count = (end < all ? end : all) - first;
  }
};

void quantize_run(const void* command, i64 task, i64 tasks, char*) {
  const Quantize& c = *static_cast<const Quantize*>(command);
  const BorderPart p(c.count, task, tasks);
  const double low = static_cast<double>(c.low), high = static_cast<double>(c.high);
  const float* x = c.x + p.first;
  if (c.out_type == kI8)
    quantize(x, p.count, c.scale, low, high, static_cast<i8*>(c.out) + p.first);
  else if (c.out_type == kI16)
    quantize(x, p.count, c.scale, low, high, static_cast<i16*>(c.out) + p.first);
  else
    quantize(x, p.count, c.scale, low, high, static_cast<i32*>(c.out) + p.first);
}

void dequantize_run(const void* command, i64 task, i64 tasks, char*) {
  const Dequantize& c = *static_cast<const Dequantize*>(command);
  const BorderPart p(c.count, task, tasks);
  const float scale = static_cast<float>(c.scale);
  float* out = c.out + p.first;
  if (c.x_type == kI8)
    dequantize(static_cast<const i8*>(c.x) + p.first, p.count, scale, out);
  else if (c.x_type == kI16)
    dequantize(static_cast<const i16*>(c.x) + p.first, p.count, scale, out);
  else
    dequantize(static_cast<const i32*>(c.x) + p.first, p.count, scale, out);
}

}  // namespace
}  // namespace iptq
