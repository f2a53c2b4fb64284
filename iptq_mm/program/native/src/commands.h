// The commands of a program: plain structs of 64-bit fields.
//
// Python builds them (../commands.py has the same fields in the same order), one
// call runs the whole list. A value of at most 256 codes is stored in unsigned
// bytes as `q - base`, so that the byte product needs no other form; wider ones
// are int16 or int32 with base 0. Sizes and strides count elements, not bytes.
#pragma once

#include <cstdint>

namespace iptq {

using i8 = std::int8_t;
using u8 = std::uint8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using u32 = std::uint32_t;
using i64 = std::int64_t;
using u64 = std::uint64_t;

constexpr int kDims = 6;       // most dimensions of a strided command
constexpr int kLanes = 16;     // columns of a vector of accumulators
constexpr int kMaxWidth = 4;   // most such vectors in a panel of weights
constexpr int kTileRows = 6;   // rows of a register tile
constexpr int kTileColumns = kLanes * kMaxWidth;

enum Kind : i64 {
  kGemm,
  kAttention,
  kLayerNorm,
  kAffine,
  kProduct,
  kLookup,
  kCopy,
  kGather,
  kMean,
  kKinds
};

enum Type : i64 { kU8, kI8, kI16, kI32, kI64 };

enum Post : i64 { kNothing, kTable, kAdd };

// (x * multiplier + offset) >> shift, clamped; of sums and products.
struct Requantization {
  i64 multiplier, offset, shift, low, high;
  i64 narrow;  // whether 32 bits hold the result before it is clamped
};

// (a * left + b * right + offset) >> shift, clamped.
struct Sum {
  i64 left, right, offset, shift, low, high;
  i64 narrow;
};

// interpolated_gelu: a quicker way to the same result as a table.
struct Interpolation {
  const i32* lines;  // 64 pairs of int16: table, slope; or null
  i64 position_multiplier, position_shift;
  i64 relu, line_factor, offset, shift, low, high;
};

// Matrix product of bytes and packed weights, requantized by channel.
struct Gemm {
  i64 kind;
  const u8* a;
  i64 a_row;
  i64 m, n, k;
  const i8* weights;       // see panels.h
  i64 bits, width;         // of a weight; vectors of a panel
  const i32* start;        // accumulators' initial values, padded
  i64 quick;               // which of the two forms the next three have
  const i64* multiplier;
  const i64* offset;
  const i32* up;
  const i32* shift;
  i64 low, high;           // of the result, its base subtracted
  const i32* rows;         // row of the result for each row of a; -1: none
  i64 post;
  const void* table;       // kTable: by code - low, of the type of the result
  i64 table_type;
  const i16* residual;     // kAdd
  i64 residual_row;
  Sum sum;
  Interpolation line;      // kTable, if it is one
  void* out;
  i64 out_type, out_row;
};

// A number added to the scores: bias of relative positions, or a mask.
struct Stage {
  const i32* addend;
  const i64* at;           // by group
  i64 row;
  Sum sum;
};

constexpr int kStages = 2;

// softmax(q k^T) v of each group (an image's head, a window's head).
struct Attention {
  i64 kind;
  i64 groups, queries, keys, depth, value_depth;
  const u8 *q, *k, *v;
  const i64 *q_at, *k_at, *v_at, *out_at;  // offsets by group
  i64 q_row, k_row, v_row, out_row;
  i64 q_base;              // keys and values have the base -128
  Requantization score;
  i64 stages;
  Stage stage[kStages];
  i64 clamp, down;         // table_softmax
  const i32* table;
  const i32* table_high;   // or null
  i64 one, quotient_shift, p_high;
  i64 p_type, p_base;      // kU8 or kI16
  Requantization result;   // its base subtracted
  void* out;
  i64 out_type;
};

// ivit_layernorm of each row.
struct LayerNorm {
  i64 kind;
  const i16* x;
  i64 x_row;
  i64 rows, size;
  const i32* from;         // row of x for each row of the result; -1: zeros
  i64 root_shift, epsilon, reciprocal_bits, drop, shift;
  const i32* multiplier;
  const i64* addend;       // the base of the result subtracted
  i64 low, high, zero;     // zero: code of an absent row
  void* out;
  i64 out_type, out_row;
};

struct View {
  void* data;
  i64 type, base;
  i64 stride[kDims];
};

// Elementwise: a sum of one or two (b absent: data null), or a product.
struct Affine {
  i64 kind;
  i64 shape[kDims];
  View out, a, b;
  Sum sum;
};

struct Product {
  i64 kind;
  i64 shape[kDims];
  View out, a, b;
  Requantization result;
};

// Elementwise: table[a - first].
struct Lookup {
  i64 kind;
  i64 shape[kDims];
  View out, a;
  const i32* table;
  i64 first;
};

// Elementwise: moves elements of `size` bytes.
struct Copy {
  i64 kind;
  i64 shape[kDims];
  i64 size;
  View out, a;
};

// Copies runs of `size` bytes; from < 0: fills with `zero`.
struct Gather {
  i64 kind;
  const u8* a;
  u8* out;
  const i64* from;         // byte offset of each run
  i64 runs, size;
  i64 element, zero;
};

// Mean along the dimensions whose stride in `out` is 0 and that come last.
struct Mean {
  i64 kind;
  i64 shape[kDims];
  i64 kept;                // leading dimensions that stay
  View out, a;
  Requantization result;
};

}  // namespace iptq
