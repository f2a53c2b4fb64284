// The commands of a program: plain structs of 64-bit fields.
//
// Python builds them (../commands.py has the same fields, and compares when it opens the
// library), one call runs the whole list. A tensor of at most 256 different integers is
// kept in unsigned bytes, code = integer + zero_point, so that the byte product needs one
// form only; wider ones are int16 or int32 with the zero point 0. Sizes and strides count
// elements, not bytes. The comment behind a pointer is the shape that it points at; rows
// may be further apart than they are long, by the field `*_row`.
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
  X(RoIAlign)            \
  X(Watch)

#define IPTQ_KIND(Command) Command,
enum class Kind : i64 { IPTQ_COMMANDS(IPTQ_KIND) };
#undef IPTQ_KIND
constexpr int kKinds = static_cast<int>(Kind::Watch) + 1;

// What follows a matrix product: nothing, a function of single codes as a table, the
// addition of a residual, or another scale.
IPTQ_ENUM(Post, kNothing, kTable, kAdd, kRescale)

// Matrix product of rows and packed weights, requantized by channel; see
// epilogue/epilogue.inl. N is n rounded up to whole vectors of 16.
//   out (m, n) = epilogue(start + a (m, taps * k) @ weights (taps * k, n))
struct Gemm {
  i64 kind;
  Pointer<const u8> a;     // (m, k); with a window the images that it describes
  i64 a_row;               // bytes from row to row, as all distances of the window
  i64 m, n, k;             // k: the depth of a tap
  i64 taps;                // kernel_height * kernel_width; 0: no window, one tap
  Window window;
  Pointer<const i8> weights;  // panels, see product/panels.h; depthwise: (taps, N)
  i64 words, bits, width;  // whether rows are int16; bits of a weight: 8 or 4, or by words
                           // 16; most vectors of a panel: 1 to 4
  i64 group;               // 4 bits: depths that share a factor, a multiple of 4; 0: none
  Pointer<const u8> factors;  // of these, 4 bits each; see product/panels.h
  i64 halves;              // 16 bits: whether sums need 64 bits, see product/halves.inl
  Pointer<const i32> start;  // (N,), initial accumulators: equation (1) of the epilogue
  i64 quick;               // whether the next four are of the quick form
  Pointer<const i64> multiplier;  // (N,)
  Pointer<const i64> offset;  // (N,)
  Pointer<const i32> up;   // (N,), quick: left shifts of accumulators; or null: none
  Pointer<const i32> shift;  // (N,)
  i64 low, high;           // range of the codes of the product, zero point included
  Pointer<const i32> rows;  // (m,), row of the result for each of a; -1: none; or null
  i64 post;                // a Post
  Pointer<const void> table;  // kTable: by code - low; at least 256, a multiple of 4
  i64 table_type;          // kU8 or kI16
  Pointer<const i16> residual;  // kAdd: (rows of the result, n)
  i64 residual_row;
  Pointer<const i32> residual_rows;  // (rows of the result,), its row of it; or null
  Sum sum;                 // kAdd, kRescale
  Interpolation line;      // kTable, if it is one
  Pointer<void> out;       // (m, n)
  i64 out_type, out_row;

  IPTQ_FIELDS(Gemm, kind, a, a_row, m, n, k, taps, window, weights, words, bits, width,
              group, factors, halves, start, quick, multiplier, offset, up, shift, low, high,
              rows, post, table, table_type, residual, residual_row, residual_rows, sum, line,
              out, out_type, out_row)
};

// softmax(q k^T) v of each group (a head of an image or of a window).
struct Attention {
  i64 kind;
  i64 groups, queries, keys, depth, value_depth;
  Pointer<const u8> q;     // (groups, queries, depth)
  Pointer<const u8> k;     // (groups, keys, depth)
  Pointer<const u8> v;     // (groups, keys, value_depth)
  Pointer<const i64> q_at, k_at, v_at, out_at;  // (groups,), where each group begins
  i64 q_row, k_row, v_row, out_row;
  i64 q_zero_point;        // that of keys and values is 128
  Requantization score;    // of q k^T
  i64 additions;           // how many of the next
  ScoreAddition addition[kAdditions];
  Softmax softmax;         // of the scores, to codes of probabilities
  i64 p_type;              // of probabilities: kU8 or kI16
  Requantization result;   // makes codes, zero point included
  Pointer<void> out;       // (groups, queries, value_depth)
  i64 out_type;

  IPTQ_FIELDS(Attention, kind, groups, queries, keys, depth, value_depth, q, k, v, q_at,
              k_at, v_at, out_at, q_row, k_row, v_row, out_row, q_zero_point, score,
              additions, addition, softmax, p_type, result, out, out_type)
};

// Softmax of rows that are no part of an attention.
struct SoftmaxRows {
  i64 kind;
  i64 rows, size;
  Pointer<const void> x;   // (rows, size)
  i64 x_type, x_zero_point, x_row;
  Softmax softmax;
  Pointer<void> out;       // (rows, size)
  i64 out_type, out_row;

  IPTQ_FIELDS(SoftmaxRows, kind, rows, size, x, x_type, x_zero_point, x_row, softmax, out,
              out_type, out_row)
};

// out (m, n) = a (m, k) @ b (k, n) of each group, neither of them constant.
struct MatMul {
  i64 kind;
  i64 groups, m, n, k;
  i64 halves;              // whether sums need 64 bits, see product/halves.inl
  Pointer<const void> a;   // (groups, m, k), bytes or int16; of any type in halves
  i64 a_type, a_zero_point;
  Pointer<const void> b;   // (groups, n, k) if by_columns, else (groups, k, n)
  i64 b_type;              // kU8, with the zero point 128, or kI16
  Pointer<const i64> a_at, b_at, out_at;  // (groups,), where each group begins
  i64 a_row, b_row, out_row;
  i64 by_columns;          // whether a row of b is a column of the product
  Requantization result;   // makes codes, zero point included
  Pointer<void> out;       // (groups, m, n)
  i64 out_type;

  IPTQ_FIELDS(MatMul, kind, groups, m, n, k, halves, a, a_type, a_zero_point, b, b_type,
              a_at, b_at, out_at, a_row, b_row, out_row, by_columns, result, out, out_type)
};

// How a LayerNorm centres its rows, and what it does with the root.
IPTQ_ENUM(Norm, kIViT, kIBERT, kFQViT)

// LayerNorm of each row; see normalization/layer_norm.inl.
struct LayerNorm {
  i64 kind;
  i64 form;                // a Norm
  Pointer<const i16> x;    // (rows, size)
  i64 x_row;
  i64 rows, size;          // of the result
  Pointer<const i32> rows_from;  // (rows,), row of x for each; -1: zeros; null: the same
  i64 up;                  // fraction bits of x - mean; not of kIViT
  i64 root_shift, epsilon, reciprocal_bits, drop, shift;
  Pointer<const i32> multiplier;  // (size,)
  Pointer<const i32> exponent;  // (size,), of the multiplier; kFQViT
  Pointer<const i64> addend;  // (size,), zero point of the result included
  i64 low, high;           // range of the codes
  i64 zero_point;          // of the result: what rows of zeros are filled with
  Pointer<void> out;       // (rows, size)
  i64 out_type, out_row;

  IPTQ_FIELDS(LayerNorm, kind, form, x, x_row, rows, size, rows_from, up, root_shift,
              epsilon, reciprocal_bits, drop, shift, multiplier, exponent, addend, low,
              high, zero_point, out, out_type, out_row)
};

// Elementwise: a sum of two tensors, or one tensor rescaled (b.data null).
struct Add {
  i64 kind;
  i64 shape[kDims];
  View out, a, b;
  Sum sum;

  IPTQ_FIELDS(Add, kind, shape, out, a, b, sum)
};

// Elementwise: a product of two tensors.
struct Multiply {
  i64 kind;
  i64 shape[kDims];
  View out, a, b;
  Requantization result;

  IPTQ_FIELDS(Multiply, kind, shape, out, a, b, result)
};

// Elementwise: table[clamp(a - first, 0, last)].
struct Lookup {
  i64 kind;
  i64 shape[kDims];
  View out, a;
  Pointer<const i32> table;  // (last + 1,)
  i64 first, last;

  IPTQ_FIELDS(Lookup, kind, shape, out, a, table, first, last)
};

// Elementwise: moves elements of `size` bytes.
struct Copy {
  i64 kind;
  i64 shape[kDims];
  i64 size;
  View out, a;

  IPTQ_FIELDS(Copy, kind, shape, size, out, a)
};

// Copies runs of `size` bytes from anywhere, or fills them with elements of zero.
struct Gather {
  i64 kind;
  Pointer<const u8> a;
  Pointer<u8> out;         // (runs, size)
  Pointer<const i64> runs_from;  // (runs,), byte of `a` where each begins; -1: zeros
  i64 last;                // the largest of these
  i64 runs, size;
  i64 element;             // bytes of an element of zero
  i64 zero_point;          // that element

  IPTQ_FIELDS(Gather, kind, a, out, runs_from, last, runs, size, element, zero_point)
};

// Mean along the dimensions whose stride in `out` is 0 and that come last.
struct Mean {
  i64 kind;
  i64 shape[kDims];
  i64 kept;                // leading dimensions that stay
  i64 largest;             // 1: the largest element instead of the sum
  View out, a;
  Requantization result;   // of the sum, or of the largest element

  IPTQ_FIELDS(Mean, kind, shape, kept, largest, out, a, result)
};

// Tensors become the integers of a program: floats are rounded, pixels restored before,
// integers stored otherwise.
struct Quantize {
  i64 kind;
  i64 count;
  Pointer<const void> x;   // (count,); with factors (images, channels, plane)
  i64 x_type;              // kF32, or the type of integers
  i64 x_zero_point;        // of integers
  double scale;            // clamp(round(x / scale), low, high), halves to even
  Pointer<const double> factor;  // (channels,), or null; x is float(x * factor + shift)
  Pointer<const double> shift;  // (channels,)
  i64 channels, plane;     // plane: elements of a channel
  i64 low, high;
  Pointer<void> out;       // (count,)
  i64 out_type, out_zero_point;

  IPTQ_FIELDS(Quantize, kind, count, x, x_type, x_zero_point, scale, factor, shift,
              channels, plane, low, high, out, out_type, out_zero_point)
};

// And the other way round: x * scale, with the zero point 0.
struct Dequantize {
  i64 kind;
  i64 count;
  Pointer<const void> x;   // (count,)
  i64 x_type;              // kI8, kI16 or kI32
  double scale;            // a float
  Pointer<float> out;      // (count,)
  Pointer<void> codes;     // (count,), a copy of x, or null

  IPTQ_FIELDS(Dequantize, kind, count, x, x_type, scale, out, codes)
};

// Averages of samples in the bins of boxes on maps whose channels lie side by side.
struct RoIAlign {
  i64 kind;
  i64 count;
  Pointer<const float> rois;  // (count, 5): number of the image, x1, y1, x2, y2
  Pointer<const void> x;   // (images, height, width, channels)
  i64 x_type;              // kF32, or kI8 or kI16 and times `step`
  double step;             // a float
  i64 channels, height, width;
  i64 rows, columns;       // of bins
  double scale;            // a float; pixels of the map by those of the image
  i64 sampling;            // samples of a bin along an axis; 0: one a pixel
  i64 aligned;             // whether pixels have their centres at halves
  Pointer<float> out;      // (count, channels, rows, columns)

  IPTQ_FIELDS(RoIAlign, kind, count, rois, x, x_type, step, channels, height, width, rows,
              columns, scale, sampling, aligned, out)
};

// Elementwise: counts what lies outside of a range, and clamps to the same range or to a
// wider one, which holds all of `a` where nothing is outside of the other.
struct Watch {
  i64 kind;
  i64 shape[kDims];
  View out, a;
  i64 low, high;           // what is counted lies outside of these
  i64 least, most;         // range of the result
  Pointer<i64> counts;     // (66,); see elementwise/watch.inl

  IPTQ_FIELDS(Watch, kind, shape, out, a, low, high, least, most, counts)
};

}  // namespace iptq
