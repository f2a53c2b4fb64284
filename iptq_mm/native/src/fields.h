// What the commands are made of; ../fields.py has the same fields.
#pragma once

#include <cstdint>

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
constexpr int kTileRows = 6;   // rows of a register tile
constexpr int kTileColumns = kLanes * kMaxWidth;

enum Type : i64 { kU8, kI8, kI16, kI32, kI64, kF32 };

// (x * multiplier + offset) >> shift, clamped; of sums and products.
struct Requantization {
  i64 multiplier, offset, shift, low, high;
  i64 fits_int32;  // whether 32 bits hold the result before it is clamped
};

// (a * left + b * right + offset) >> shift, clamped.
struct Sum {
  i64 left, right, offset, shift, low, high;
  i64 fits_int32;
};

// interpolated_gelu: a quicker way to the same result as a table. All but the offset
// fit 16 bits.
struct Interpolation {
  const i16 *table, *slope;  // 64 of each, or null; slopes times 2**up
  i64 last, left, multiplier, fraction_bits;  // what makes a position of |x|
  i64 relu, up, offset, shift, low, high;
};

// A convolution: rows of `a` are pixels, those of the result, too. The depth of the
// product is that of a pixel, for each of the window's taps in turn.
struct Window {
  i64 height, width;            // of the input
  i64 out_height, out_width;    // of the result
  i64 kernel_height, kernel_width, stride_height, stride_width;
  i64 pad_top, pad_left, dilation_height, dilation_width;
  i64 image, row, pixel;        // distances in the input
  const u8* zeros;              // a pixel of zeros
  i64 depthwise;                // every channel is a convolution of its own
};

// A number added to the scores: bias of relative positions, or a mask.
struct Stage {
  const i32* addend;
  const i64* at;           // by group
  i64 row;
  Sum sum;
};

constexpr int kStages = 2;

// The exponentials of softmaxes. All but the first begin with a number of halvings.
enum Exponential : i64 { kTables, kQuadratic, kChord, kTangent, kPowers };

// Softmax of a row.
struct Softmax {
  i64 form;                // an Exponential
  i64 clamp, down;         // of differences to the largest number
  i64 multiplier, cap;     // from differences to halvings; cap 0: none
  i64 half;                // kTangent: what rounds halvings to the nearest
  const i32* table;        // kTables: exponentials, or null; kPowers: codes
  const u16 *fine, *medium, *mantissa, *exponent;  // kTables otherwise
  i64 codes;               // kPowers: how many
  i64 one, quotient_shift, high, zero_point;
};

struct View {
  void* data;
  i64 type, zero_point;
  i64 stride[kDims];
};

}  // namespace iptq
