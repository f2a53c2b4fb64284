// What the commands are made of; ../fields.py has the same fields, and layout.cpp lets
// Python make sure of it.
#pragma once

#include <cstdint>

#include "layout.h"

namespace iptq {

using i8 = std::int8_t;
using u8 = std::uint8_t;
using i16 = std::int16_t;
using u16 = std::uint16_t;
using i32 = std::int32_t;
using u32 = std::uint32_t;
using i64 = std::int64_t;
using u64 = std::uint64_t;

constexpr int kDims = 6;       // most dimensions of a strided command
constexpr int kLanes = 16;     // columns of a vector of accumulators
constexpr int kMaxWidth = 4;   // most such vectors in a panel of weights
#ifdef IPTQ_AMX_TILES
constexpr int kTileRows = 16;  // rows of a register tile
constexpr int kTileDepth = 64; // depths of bytes that its products take at a time
#elif defined(IPTQ_NEON_TILES)
constexpr int kTileRows = 6;
constexpr int kTileDepth = 8;
#else
constexpr int kTileRows = 6;
constexpr int kTileDepth = 4;
#endif
constexpr int kTileColumns = kLanes * kMaxWidth;
constexpr int kAdditions = 2;  // most additions to attention scores
constexpr int kSlack = 64;     // bytes that a kernel may read beyond a buffer's end

// An address in a command: 64 bits on every CPU, so that commands lie the same way in a
// file (runtime/) and in the memory of all of them. Where addresses have 32 bits, the
// upper half is zero.
#if UINTPTR_MAX == UINT64_MAX
template <class T>
using Pointer = T*;
#else
template <class T>
class Pointer {
 public:
  Pointer() : at_(nullptr), zero_(0) {}
  Pointer& operator=(T* at) {
    at_ = at;
    zero_ = 0;
    return *this;
  }
  operator T*() const { return at_; }
  template <class U>
  explicit operator U*() const {
    return static_cast<U*>(at_);
  }

 private:
  T* at_;
  u32 zero_;
};
#endif

// Types of elements.
IPTQ_ENUM(Type, kU8, kI8, kI16, kI32, kI64, kF32)

// clamp((x * multiplier + offset) >> shift, low, high)
struct Requantization {
  i64 multiplier, offset, shift, low, high;
  i64 fits_int32;          // whether 32 bits hold the result before it is clamped

  IPTQ_FIELDS(Requantization, multiplier, offset, shift, low, high, fits_int32)
};

// clamp((a * left + b * right + offset) >> shift, low, high)
struct Sum {
  i64 left, right, offset, shift, low, high;
  i64 fits_int32;          // the same

  IPTQ_FIELDS(Sum, left, right, offset, shift, low, high, fits_int32)
};

// interpolated_gelu: a quicker way to the same result as a table. All but the offset
// fit 16 bits. With p = min(((min(|x|, last) << left) * multiplier) >> 16, end), the
// position of |x| in the table with `fraction_bits` fraction bits, i = its integer part
// and f = its fraction:
//   y = clamp((max(x, 0) * relu + (table[i] << (fraction_bits + up)) + slope[i] * f +
//              offset) >> shift, low, high)
struct Interpolation {
  Pointer<const i16> table;  // (64,); null: not this function
  Pointer<const i16> slope;  // (64,), times 2**up
  i64 last, left, multiplier, fraction_bits;
  i64 relu, up, offset, shift, low, high;
  Pointer<const u8> codes;  // (256,), what y becomes; null: it stays

  IPTQ_FIELDS(Interpolation, table, slope, last, left, multiplier, fraction_bits, relu,
              up, offset, shift, low, high, codes)
};

// A convolution as a product: the pixels of its input are the rows of `a`, those of its
// result are the rows of the result. The depth of the product is that of a pixel, for
// each of the window's taps (ky, kx) in turn; pixel (y, x) of the result takes
//   (y * stride_height - pad_top + ky * dilation_height,
//    x * stride_width - pad_left + kx * dilation_width)
struct Window {
  i64 height, width;           // of the input
  i64 out_height, out_width;   // of the result
  i64 kernel_height, kernel_width, stride_height, stride_width;
  i64 pad_top, pad_left, dilation_height, dilation_width;
  i64 image, row, pixel;       // distances in the input, in elements
  Pointer<const u8> zeros;     // (channels,), a pixel of zero points, for the padding
  i64 depthwise;               // whether every channel is a convolution of its own

  IPTQ_FIELDS(Window, height, width, out_height, out_width, kernel_height, kernel_width,
              stride_height, stride_width, pad_top, pad_left, dilation_height,
              dilation_width, image, row, pixel, zeros, depthwise)
};

// A tensor added to the scores: a bias of relative positions, or a mask.
struct ScoreAddition {
  Pointer<const i32> addend;  // tables of (queries, keys)
  Pointer<const i64> at;   // (groups,), where each group's table begins
  i64 row;                 // distance of a table's rows
  i64 most;                // largest magnitude in the tables
  // Of a mask (entries of 0 or less, one of 0 in every row), the least magnitude of the
  // entries other than 0; of other tables, 0.
  i64 hides;
  Sum sum;

  IPTQ_FIELDS(ScoreAddition, addend, at, row, most, hides, sum)
};

// Exponentials of softmaxes, see softmax/exponentials.inl. All but the first are
// computed from the number of halvings, h = -log2 of the exponential.
IPTQ_ENUM(Exponential, kTables, kQuadratic, kChord, kTangent, kPowers)

// Softmax of a row: differences d to the largest score, exponentials e of -d, and
//   r = (sum(e) / 2 + one) / sum(e)
//   p = min((e * r + (1 << (quotient_shift - 1))) >> quotient_shift, high)
struct Softmax {
  i64 form;                // an Exponential
  i64 clamp, down;         // d = min(d, clamp), then >> down with rounding
  i64 multiplier, cap;     // h = min(d * multiplier, cap); cap 0: none
  i64 half;                // kTangent: what rounds h to the nearest integer
  Pointer<const i32> table;  // kTables: (largest d + 1,), or null; kPowers: (codes,)
  Pointer<const u16> fine;  // kTables without table: (32,), by the lowest 5 bits of d
  Pointer<const u16> medium;  // (32,), by the next 5 bits
  Pointer<const u16> mantissa;  // (64,), by what is above these
  Pointer<const u16> exponent;  // (64,), right shifts of the product of the three
  i64 codes;               // kPowers: how many
  i64 one, quotient_shift, high;
  i64 zero_point;          // of the probabilities

  IPTQ_FIELDS(Softmax, form, clamp, down, multiplier, cap, half, table, fine, medium,
              mantissa, exponent, codes, one, quotient_shift, high, zero_point)
};

// A strided tensor of codes: integer = code - zero_point.
struct View {
  Pointer<void> data;      // elements of the command's shape
  i64 type;                // a Type
  i64 zero_point;
  i64 stride[kDims];       // in elements; 0: repeated

  IPTQ_FIELDS(View, data, type, zero_point, stride)
};

}  // namespace iptq
