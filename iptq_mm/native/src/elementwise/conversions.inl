// Conversions: tensors become integers, integers floats.
#pragma once

#include <cstring>

#include "elementwise/strided.inl"

namespace iptq {
namespace {

constexpr i64 kConversionRun = 4096;

template <class Command>
i64 conversion_tasks(const void* command, i64 threads) {
  const i64 count = static_cast<const Command*>(command)->count;
  return few_tasks(ceil_div(count, kConversionRun), count, threads);
}

template <class T>
void dequantize(const Dequantize& c, i64 first, i64 count) {
  const T* __restrict x = static_cast<const T*>(c.x) + first;
  float* __restrict to = c.out + first;
  const float scale = static_cast<float>(c.scale);
  for (i64 i = 0; i < count; ++i) to[i] = static_cast<float>(x[i]) * scale;
  if (c.codes) std::memcpy(static_cast<T*>(c.codes) + first, x, count * sizeof(T));
}

// In double precision and with the division of IEEE 754, as torch does it.
struct Rounded {
  double scale, low, high;

  i32 operator()(float x) const { return limited(static_cast<double>(x) / scale); }

  i32 limited(double q) const {
    q = __builtin_rint(q);
    q = q < low ? low : q;
    return static_cast<i32>(q > high ? high : q);
  }
};

// Pixels of a channel, before they were normalized. The product is exact in double
// precision: it does not matter whether the compiler joins it with the sum.
struct Pixel {
  Rounded rounded;
  double factor, shift;

  i32 operator()(float x) const {
    return rounded.limited(static_cast<float>(static_cast<double>(x) * factor + shift));
  }
};

template <class Round>
void quantize_run(const Quantize& c, i64 first, i64 count, const Round& round) {
  const float* x = static_cast<const float*>(c.x);
  i32 codes[kRun];
  for (const i64 end = first + count; first < end; first += kRun) {
    const i64 n = end - first < kRun ? end - first : kRun;
    for (i64 i = 0; i < n; ++i) codes[i] = round(x[first + i]);
    write_row(c.out_type, c.out_zero_point, c.out, first, 1, n, codes);
  }
}

// Those that are integers already.
void store_integers(const Quantize& c, i64 first, i64 count) {
  i32 codes[kRun];
  for (const i64 end = first + count; first < end; first += kRun) {
    const i64 n = end - first < kRun ? end - first : kRun;
    read_row(c.x_type, c.x_zero_point, c.x, first, 1, n, codes);
    write_row(c.out_type, c.out_zero_point, c.out, first, 1, n, codes);
  }
}

// Elements of a task: first and number.
struct ConversionPart {
  i64 first, count;

  ConversionPart(i64 all, i64 task, i64 tasks) {
    const i64 runs = ceil_div(all, kConversionRun);
    const i64 end = runs * (task + 1) / tasks * kConversionRun;
    first = runs * task / tasks * kConversionRun;
    count = (end < all ? end : all) - first;
  }
};

void quantize_run(const void* command, i64 task, i64 tasks, char*) {
  const Quantize& c = *static_cast<const Quantize*>(command);
  const ConversionPart p(c.count, task, tasks);
  if (c.x_type != kF32) return store_integers(c, p.first, p.count);
  const Rounded rounded{c.scale, static_cast<double>(c.low), static_cast<double>(c.high)};
  if (!c.factor) return quantize_run(c, p.first, p.count, rounded);
  for (i64 first = p.first, end = p.first + p.count; first < end;) {
    const i64 plane = first / c.plane, channel = plane % c.channels;
    const i64 rest = (plane + 1) * c.plane - first;
    const i64 count = end - first < rest ? end - first : rest;
    quantize_run(c, first, count, Pixel{rounded, c.factor[channel], c.shift[channel]});
    first += count;
  }
}

void dequantize_run(const void* command, i64 task, i64 tasks, char*) {
  const Dequantize& c = *static_cast<const Dequantize*>(command);
  const ConversionPart p(c.count, task, tasks);
  if (c.x_type == kI8) dequantize<i8>(c, p.first, p.count);
  else if (c.x_type == kI16) dequantize<i16>(c, p.first, p.count);
  else dequantize<i32>(c, p.first, p.count);
}

}  // namespace
}  // namespace iptq
