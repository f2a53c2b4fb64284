// The commands of a program: plain structs of 64-bit fields.
//
// Python builds them (../commands.py has the same fields in the same order), one
// call runs the whole list. A value of at most 256 codes is stored in unsigned
// bytes as `q + zero_point`, so that the byte product needs no other form; wider
// ones are int16 or int32 with the zero point 0. Sizes and strides count elements, not bytes.
#pragma once

#include "fields.h"

namespace iptq {

// All commands; the first field of each is its position in this list.
#define IPTQ_COMMANDS(X) \
  X(Gemm)                \
  X(Attention)           \
  X(LayerNorm)           \
  X(Add)                 \
  X(Multiply)            \
  X(Lookup)              \
  X(Copy)                \
  X(Gather)              \
  X(Mean)                \
  X(SoftmaxRows)         \
  X(MatMul)              \
  X(Quantize)            \
  X(Dequantize)          \
  X(RoIAlign)

#define IPTQ_KIND(Command) Command,
enum class Kind : i64 { IPTQ_COMMANDS(IPTQ_KIND) };
#undef IPTQ_KIND
constexpr int kKinds = static_cast<int>(Kind::RoIAlign) + 1;

enum Post : i64 { kNothing, kTable, kAdd, kRescale };

// Matrix product of bytes and packed weights, requantized by channel.
struct Gemm {
  i64 kind;
  const u8* a;
  i64 a_row;
  i64 m, n, k;             // k: the depth of a tap
  i64 taps;                // 0: no window
  Window window;
  const i8* weights;       // see panels.h
  i64 bits, width;         // of a weight; vectors of a panel
  const i32* start;        // accumulators' initial values, padded
  i64 quick;               // which of the two forms the next three have
  const i64* multiplier;
  const i64* offset;
  const i32* up;
  const i32* shift;
  i64 low, high;           // of the result, its zero point added
  const i32* rows;         // row of the result for each row of a; -1: none
  i64 post;
  const void* table;       // kTable: by code - low, of the type of the result
  i64 table_type;
  const i16* residual;     // kAdd
  i64 residual_row;
  const i32* residual_rows;  // the residual's row by the result's; or null
  Sum sum;                 // kAdd, kRescale
  Interpolation line;      // kTable, if it is one
  void* out;
  i64 out_type, out_row;
};

// softmax(q k^T) v of each group (an image's head, a window's head).
struct Attention {
  i64 kind;
  i64 groups, queries, keys, depth, value_depth;
  const u8 *q, *k, *v;
  const i64 *q_at, *k_at, *v_at, *out_at;  // offsets by group
  i64 q_row, k_row, v_row, out_row;
  i64 q_zero_point;        // that of keys and values is 128
  Requantization score;
  i64 stages;
  Stage stage[kStages];
  Softmax softmax;         // to codes of probabilities
  i64 p_type;              // kU8 or kI16
  Requantization result;   // its zero point added
  void* out;
  i64 out_type;
};

// Softmax of rows, alone.
struct SoftmaxRows {
  i64 kind;
  i64 rows, size;
  const void* x;
  i64 x_type, x_zero_point, x_row;
  Softmax softmax;
  void* out;
  i64 out_type, out_row;
};

// a b of each group, neither of them constant. `a` is of bytes or of int16.
struct MatMul {
  i64 kind;
  i64 groups, m, n, k;
  const void* a;
  i64 a_type, a_zero_point;
  const u8* b;
  const i64 *a_at, *b_at, *out_at;  // offsets by group
  i64 a_row, b_row, out_row;
  i64 by_columns;          // a row of b is a column of the product, or a depth
  Requantization result;   // its zero point added
  void* out;
  i64 out_type;
};

// How a LayerNorm centres its rows, and what it does with the root.
enum Norm : i64 { kIViT, kIBERT, kFQViT };

// A LayerNorm of each row.
struct LayerNorm {
  i64 kind;
  i64 form;                // a Norm
  const i16* x;
  i64 x_row;
  i64 rows, size;
  const i32* from;         // row of x for each row of the result; -1: zeros
  i64 up;                  // fraction bits of x - mean; not of kIViT
  i64 root_shift, epsilon, reciprocal_bits, drop, shift;
  const i32* multiplier;
  const i32* exponent;     // of the multiplier; kFQViT
  const i64* addend;       // the zero point of the result added
  i64 low, high;
  i64 zero_point;          // code of an absent row
  void* out;
  i64 out_type, out_row;
};

// Elementwise: a sum of one or two (b absent: data null), or a product.
struct Add {
  i64 kind;
  i64 shape[kDims];
  View out, a, b;
  Sum sum;
};

struct Multiply {
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

// Copies runs of `size` bytes; from < 0: fills with `zero_point`.
struct Gather {
  i64 kind;
  const u8* a;
  u8* out;
  const i64* from;         // byte offset of each run
  i64 runs, size;
  i64 element, zero_point;
};

// Mean along the dimensions whose stride in `out` is 0 and that come last.
struct Mean {
  i64 kind;
  i64 shape[kDims];
  i64 kept;                // leading dimensions that stay
  View out, a;
  Requantization result;
};

// Where tensors become the integers of a program.
struct Quantize {
  i64 kind;
  i64 count;
  const void* x;
  i64 x_type;              // kF32, or that of integers
  i64 x_zero_point;        // of the latter
  double scale;            // clamp(round(x / scale)), halves to even
  const double *factor, *shift;  // by channel, or null: round(float(x * factor + shift))
  i64 channels, plane;     // elements of a channel
  i64 low, high;
  void* out;
  i64 out_type, out_zero_point;
};

// And the other way round: x * scale.
struct Dequantize {
  i64 kind;
  i64 count;
  const void* x;
  i64 x_type;              // the same
  double scale;            // a float
  float* out;
  void* codes;             // a copy of x, or null
};

// Averages of samples in the bins of boxes on maps whose channels lie side by side.
struct RoIAlign {
  i64 kind;
  i64 count;
  const float* rois;       // (count, 5): number of the image, x1, y1, x2, y2
  const void* x;           // (images, height, width, channels)
  i64 x_type;              // kF32, kI8 or kI16, that times `step`
  double step;             // a float
  i64 channels, height, width;
  i64 rows, columns;       // of bins
  double scale;            // a float; pixels of the map by those of the image
  i64 sampling;            // samples of a bin along an axis; 0: one a pixel
  i64 aligned;             // whether pixels have their centres at halves
  float* out;              // (count, channels, rows, columns)
};

}  // namespace iptq
