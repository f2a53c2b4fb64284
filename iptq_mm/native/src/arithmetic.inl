// Scalar arithmetic that compilers vectorize, and rows in every type.
#pragma once

#include "commands.h"

namespace iptq {
namespace {

inline i64 ceil_div(i64 a, i64 b) { return (a + b - 1) / b; }

inline i32 clamp(i64 value, i64 low, i64 high) {
  return static_cast<i32>(value < low ? low : value > high ? high : value);
}

inline i32 requantized(i64 value, const Requantization& r) {
  return clamp((value * r.multiplier + r.offset) >> r.shift, r.low, r.high);
}

// value >> shift, rounded down. Vectors have logical shifts by lanes only.
inline i64 shifted(u64 value, i64 shift) {
  constexpr u64 sign = u64{1} << 63;
  return static_cast<i64>(((value ^ sign) >> shift) - (sign >> shift));
}

// requantized() of 64-bit sums; 64 bits hold what is shifted.
inline i32 requantized_sum(i64 sum, i64 multiplier, i64 offset, i64 shift, i64 low,
                           i64 high) {
  const u64 product = static_cast<u64>(sum) * static_cast<u64>(multiplier);
  return clamp(shifted(product + static_cast<u64>(offset), shift), low, high);
}

// Factors are below 2**31, so that 32-bit multiplications to 64 bits do.
inline i32 add_requantized(i32 a, i32 b, const Sum& s) {
  i64 left = static_cast<i64>(a) * static_cast<i32>(s.left);
  i64 right = static_cast<i64>(b) * static_cast<i32>(s.right);
  return clamp((left + right + s.offset) >> s.shift, s.low, s.high);
}

template <class T>
inline void read_as(const void* data, i64 zero_point, i64 at, i64 stride, i64 n,
                    i32* to) {
  const T* from = static_cast<const T*>(data) + at;
  const i32 shift = static_cast<i32>(-zero_point);
  if (stride == 1) {
    for (i64 i = 0; i < n; ++i) to[i] = static_cast<i32>(from[i]) + shift;
  } else if (stride == 0) {
    const i32 value = static_cast<i32>(from[0]) + shift;
    for (i64 i = 0; i < n; ++i) to[i] = value;
  } else {
    for (i64 i = 0; i < n; ++i) to[i] = static_cast<i32>(from[i * stride]) + shift;
  }
}

template <class T>
inline void write_as(void* data, i64 zero_point, i64 at, i64 stride, i64 n,
                     const i32* from) {
  T* to = static_cast<T*>(data) + at;
  const i32 shift = static_cast<i32>(zero_point);
  if (stride == 1)
    for (i64 i = 0; i < n; ++i) to[i] = static_cast<T>(from[i] + shift);
  else
    for (i64 i = 0; i < n; ++i) to[i * stride] = static_cast<T>(from[i] + shift);
}

// Integers of a row, whatever their type.
inline void read_row(i64 type, i64 zero_point, const void* data, i64 at, i64 stride,
                     i64 n, i32* to) {
  switch (type) {
    case kU8: return read_as<u8>(data, zero_point, at, stride, n, to);
    case kI8: return read_as<i8>(data, zero_point, at, stride, n, to);
    case kI16: return read_as<i16>(data, zero_point, at, stride, n, to);
    case kI32: return read_as<i32>(data, zero_point, at, stride, n, to);
    default: return read_as<i64>(data, zero_point, at, stride, n, to);
  }
}

inline void write_row(i64 type, i64 zero_point, void* data, i64 at, i64 stride, i64 n,
                      const i32* from) {
  switch (type) {
    case kU8: return write_as<u8>(data, zero_point, at, stride, n, from);
    case kI8: return write_as<i8>(data, zero_point, at, stride, n, from);
    case kI16: return write_as<i16>(data, zero_point, at, stride, n, from);
    case kI32: return write_as<i32>(data, zero_point, at, stride, n, from);
    default: return write_as<i64>(data, zero_point, at, stride, n, from);
  }
}

}  // namespace
}  // namespace iptq
