// Checks of products: their weights, the rows that they take, their epilogues.
#include "checks/check.h"

namespace iptq {
namespace {

constexpr i64 kMostShared = 32;  // depths of a factor, however few there are
constexpr i64 kMostPixels = i64{1} << 31;

i64 up_to(i64 value, i64 unit) { return (value + unit - 1) / unit * unit; }

void check_window(Check& c, const Gemm& g, i64 element) {
  const Window& w = g.window;
  const i64 sizes[] = {w.height, w.width, w.out_height, w.out_width, w.kernel_height,
                       w.kernel_width, w.stride_height, w.stride_width,
                       w.dilation_height, w.dilation_width};
  for (i64 size : sizes) c.within(size, 1, kMostPixels, "a size of the window");
  c.within(w.pad_top, -kMostPixels, kMostPixels, "the padding");
  c.within(w.pad_left, -kMostPixels, kMostPixels, "the padding");
  c.distance(w.image, "the distance of images");
  c.distance(w.row, "the distance of lines");
  c.distance(w.pixel, "the distance of pixels");
  c.flag(w.depthwise, "depthwise");
  if (!c.ok()) return;
  const Count taps = Count(w.kernel_height) * w.kernel_width;
  c.that(taps.valid() && taps.value() == g.taps, "the number of taps");
  const Count pixels = Count(w.out_height) * w.out_width;
  if (!c.that(pixels.valid(), "a size of the window")) return;
  const i64 images = (g.m + pixels.value() - 1) / pixels.value();
  const i64 depth = (w.depthwise ? g.n : g.k) * element;
  c.that(w.image % element == 0 && w.row % element == 0 && w.pixel % element == 0,
         "a distance of pixels");
  const Count last = Count(images - 1) * w.image + Count(w.height - 1) * w.row +
                     Count(w.width - 1) * w.pixel + depth + -1;
  c.reads(raw(g.a), 0, last, 1, "the images");
  c.reads(raw(w.zeros), depth, 1, "the padded pixel");
}

void check_weights(Check& c, const Gemm& g, i64 columns) {
  const Count taps = g.taps ? g.taps : 1;
  Count bytes = Count(columns) * taps;
  if (g.window.depthwise) c.that(g.taps > 0 && g.bits == 8, "a depthwise convolution");
  else bytes = bytes * up_to(g.k, 4) * g.bits;
  if (!c.that(bytes.valid(), "the size of the weights")) return;
  const i64 all = g.window.depthwise ? bytes.value() : bytes.value() / 8;
  c.table<i8>(raw(g.weights), all, "the weights");
  c.that((raw(g.weights) & 1) == 0 || g.bits != 16, "the weights");
  c.within(g.group, 0, up_to(g.k, kMostShared), "the groups of factors");
  c.that(g.group % 4 == 0 && (!g.group || g.bits == 4), "the groups of factors");
  if (!c.ok() || !g.group) return;
  const i64 groups = (up_to(g.k, 4) + g.group - 1) / g.group;
  const Count factors = Count(columns) * taps * groups;
  if (!c.that(factors.valid(), "the number of factors")) return;
  c.table<u8>(raw(g.factors), factors.value() / 2, "the factors");
}

void check_channels(Check& c, const Gemm& g, i64 columns) {
  c.table<i32>(raw(g.start), columns, "the first sums");
  c.table<i64>(raw(g.multiplier), columns, "the multipliers");
  c.table<i64>(raw(g.offset), columns, "the offsets");
  c.flag(g.quick, "the form");
  c.entries<i32>(raw(g.shift), columns, 0, g.quick ? 31 : 63, "the shifts");
  if (raw(g.up)) c.entries<i32>(raw(g.up), columns, 0, 31, "the shifts");
  c.within(g.low, INT32_MIN, INT32_MAX, "the range");
  c.within(g.high, g.low, INT32_MAX, "the range");
}

void check_line(Check& c, const Interpolation& l) {
  if (raw(l.codes)) {
    c.that(raw(l.table) != 0, "a line");
    c.table<u8>(raw(l.codes), 256, "the codes of a line");
  }
  if (!raw(l.table)) return;
  c.table<i16>(raw(l.table), 64, "a line");
  c.table<i16>(raw(l.slope), 64, "a line");
  c.within(l.left, 0, 15, "a line");
  c.within(l.fraction_bits, 0, 9, "a line");
  c.within(l.up, 0, 15, "a line");
  c.within(l.shift, 0, 31, "a line");
}

void check_post(Check& c, const Gemm& g, i64 rows) {
  c.within(g.post, kNothing, kRescale, "the epilogue");
  if (g.post == kTable) {
    c.that(g.table_type == kU8 || g.table_type == kI16, "the type of the table");
    const i64 codes = g.high - g.low + 1;
    const Count entries = codes > 256 ? up_to(codes, 4) : 256;
    if (g.table_type == kU8) c.table<u8>(raw(g.table), entries, "the table");
    else c.table<i16>(raw(g.table), entries, "the table");
    check_line(c, g.line);
  }
  if (g.post == kAdd) {
    const i64 last = raw(g.residual_rows)
                         ? c.largest<i32>(raw(g.residual_rows), rows, 0, "residual rows")
                         : rows - 1;
    c.distance(g.residual_row, "the distance of residual rows");
    c.reads(raw(g.residual), 0, Count(last) * g.residual_row + g.n + -1, 2,
            "the residual");
  }
  if (g.post == kAdd || g.post == kRescale) c.sum(g.sum);
}

}  // namespace

void check(Check& c, const Gemm& g) {
  c.within(g.m, 1, kMostPixels, "m");
  c.extent(g.n, "n");
  c.extent(g.k, "k");
  c.within(g.taps, 0, 1 << 16, "the number of taps");
  c.that(g.bits == 4 || g.bits == 8 || (g.bits == 16 && g.words), "the bits of weights");
  c.flag(g.words, "words");
  c.that(!g.words || !g.window.depthwise, "words");
  c.within(g.width, 1, kMaxWidth, "the width");
  c.flag(g.halves, "halves");
  c.that(!g.halves || (g.bits == 16 && !g.quick), "halves");
  c.distance(g.a_row, "the distance of rows");
  if (!c.ok()) return;
  const i64 columns = up_to(g.n, kLanes), element = g.words ? 2 : 1;
  c.that(g.a_row % element == 0 && (raw(g.a) & 1) * (element - 1) == 0, "the rows");
  if (g.taps) check_window(c, g, element);
  else {
    c.that(!g.window.depthwise, "depthwise");
    c.reads(raw(g.a), 0, Count(g.m - 1) * g.a_row + Count(g.k) * element + -1, 1,
            "the rows");
  }
  check_weights(c, g, columns);
  check_channels(c, g, columns);
  if (!c.ok()) return;
  const i64 last = raw(g.rows) ? c.largest<i32>(raw(g.rows), g.m, -1, "the rows' places")
                               : g.m - 1;
  const i64 rows = last < 0 ? 1 : last + 1;
  check_post(c, g, rows);
  c.result_type(g.out_type);
  c.distance(g.out_row, "the distance of results");
  c.writes(raw(g.out), 0, Count(rows - 1) * g.out_row + g.n + -1, size_of(g.out_type),
           "the result");
}

void check(Check& c, const MatMul& m) {
  c.extent(m.groups, "groups");
  c.extent(m.m, "m");
  c.extent(m.n, "n");
  c.extent(m.k, "k");
  c.flag(m.halves, "halves");
  c.flag(m.by_columns, "by_columns");
  c.that(m.a_type == kU8 || m.a_type == kI16 || (m.halves && size_of(m.a_type)),
         "the type of a");
  c.that(m.b_type == kU8 || m.b_type == kI16, "the type of b");
  c.distance(m.a_row, "the distance of rows");
  c.distance(m.b_row, "the distance of rows");
  c.distance(m.out_row, "the distance of rows");
  c.requantization(m.result);
  c.result_type(m.out_type);
  if (!c.ok()) return;
  const i64 a = c.largest<i64>(raw(m.a_at), m.groups, 0, "the groups of a");
  const i64 b = c.largest<i64>(raw(m.b_at), m.groups, 0, "the groups of b");
  const i64 out = c.largest<i64>(raw(m.out_at), m.groups, 0, "the groups of the result");
  const i64 lines = m.by_columns ? m.n : m.k, length = m.by_columns ? m.k : m.n;
  c.reads(raw(m.a), 0, Count(m.m - 1) * m.a_row + a + m.k + -1, size_of(m.a_type), "a");
  c.reads(raw(m.b), 0, Count(lines - 1) * m.b_row + b + length + -1, size_of(m.b_type),
          "b");
  c.writes(raw(m.out), 0, Count(m.m - 1) * m.out_row + out + m.n + -1,
           size_of(m.out_type), "the result");
}

}  // namespace iptq
