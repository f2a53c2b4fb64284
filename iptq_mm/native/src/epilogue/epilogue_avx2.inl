// The epilogue of the quick form, (4) to (6) in epilogue.inl, 16 columns at a time.
#pragma once

#include "arithmetic.inl"
#include "epilogue/lines/line_avx2.inl"
#include "epilogue/no_constants.inl"
#include "epilogue/targets.inl"
#include "epilogue/word_sums_avx2.inl"

namespace iptq {
namespace {

// make(16 words in order, result's row, column, how many of them) has the last word of the
// codes of 16 columns. These are limited to words first.
template <bool Up, class Make>
inline void finish_columns(const Gemm& g, const Targets& t, i64 part, i64 column,
                           const Make& make) {
  const ChannelVector first(g, column), second(g, column + kVector);
  const i64 rest = g.n - column, count = rest < kLanes ? rest : kLanes;
  for (i64 r = 0; r < t.count; ++r) {
    const i32* sums = t.sums[r] + part;
    make(joined(first.template codes<Up>(load(sums)),
                second.template codes<Up>(load(sums + kVector))),
         t.target[r], column, count);
  }
}

template <class Make>
void finish_rows(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column, i64 width,
                 const Make& make) {
  const Targets t(g, sums, row, rows);
  for (i64 part = 0; part < width * kLanes; part += kLanes) {
    if (g.up) finish_columns<true>(g, t, part, column + part, make);
    else finish_columns<false>(g, t, part, column + part, make);
  }
}

// Where results begin.
template <class T>
inline T* result(const Gemm& g, i64 target, i64 at) {
  return static_cast<T*>(g.out) + target * g.out_row + at;
}

// Codes looked up one by one.
template <class T>
struct Tabulated {
  const T* table;
  i64 low;
  WordLimits limits;

  explicit Tabulated(const Gemm& g)
      : table(static_cast<const T*>(g.table)), low(g.low), limits(g.low, g.high) {}

  void operator()(__m256i words, i64 count, T* to) const {
    i16 codes[kLanes];
    store(codes, limits(words));
    if (count == kLanes) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) to[i] = table[codes[i] - low];
    } else {
      for (i64 i = 0; i < count; ++i) to[i] = table[codes[i] - low];
    }
  }
};

template <class T>
void finish_looked_up(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column,
                      i64 width) {
  const Tabulated<T> tabulated(g);
  finish_rows(g, sums, row, rows, column, width,
              [&](__m256i words, i64 target, i64 at, i64 count) {
                tabulated(words, count, result<T>(g, target, at));
              });
}

// The table's function computed, rather than looked up, with results of 16 bits.
void finish_interpolated_words(const Gemm& g, const i32* sums, i64 row, i64 rows,
                               i64 column, i64 width) {
  const LineVector line(g.line, g.low, g.high);
  const WordLimits limits(g.line.low, g.line.high);
  finish_rows(g, sums, row, rows, column, width,
              [&](__m256i words, i64 target, i64 at, i64 count) {
                store_words(limits(line(words)), count, result<i16>(g, target, at));
              });
}

// The same with results of 8 bits.
void finish_interpolated(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column,
                         i64 width) {
  const LineVector line(g.line, g.low, g.high);
  const WordLimits limits(g.line.low, g.line.high);
  finish_rows(g, sums, row, rows, column, width,
              [&](__m256i words, i64 target, i64 at, i64 count) {
                store_bytes(limits(line(words)), count, result<u8>(g, target, at));
              });
}

void finish_bytes(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column,
                  i64 width) {
  const WordLimits limits(g.low, g.high);
  finish_rows(g, sums, row, rows, column, width,
              [&](__m256i words, i64 target, i64 at, i64 count) {
                store_bytes(limits(words), count, result<u8>(g, target, at));
              });
}

void finish_words(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column,
                  i64 width) {
  const WordLimits limits(g.low, g.high);
  finish_rows(g, sums, row, rows, column, width,
              [&](__m256i words, i64 target, i64 at, i64 count) {
                store_words(limits(words), count, result<i16>(g, target, at));
              });
}

void finish_sums_of_words(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column,
                          i64 width) {
  const WordLimits limits(g.low, g.high);
  const WordSum sum(g.sum);
  finish_rows(g, sums, row, rows, column, width,
              [&](__m256i words, i64 target, i64 at, i64 count) {
                i16* to = result<i16>(g, target, at);
                const __m256i residual = load_words(residual_of(g, target) + at, count);
                store_words(sum(limits(words), residual), count, to);
              });
}

// True if the form is one of those above.
inline bool finish_quickly(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column,
                           i64 width, const PanelConstants&) {
  if (!g.quick || !WordLimits::hold(g.low, g.high)) return false;
  const bool bytes = g.out_type == kU8, words = g.out_type == kI16;
  const auto finish = [&](const auto& how) {
    how(g, sums, row, rows, column, width);
    return true;
  };
  if (g.post == kNothing && bytes && g.low >= 0 && g.high <= 255) return finish(finish_bytes);
  if (g.post == kNothing && words) return finish(finish_words);
  if (g.post == kAdd && words && WordSum::fits(g.sum)) return finish(finish_sums_of_words);
  if (g.post != kTable) return false;
  if (g.table_type == kU8 && bytes)
    return finish(LineVector::fits(g.line) ? finish_interpolated : finish_looked_up<u8>);
  if (g.table_type != kI16 || !words) return false;
  return finish(LineVector::fits(g.line) ? finish_interpolated_words
                                         : finish_looked_up<i16>);
}

// Sums of two rows; the first one becomes the result.
inline void add_rows(const Sum& s, i32* a, const i32* b, i64 count) {
  i64 i = 0;
  with_form<SumVector>(s, [&](const auto& sum) {
    for (; i + kVector <= count; i += kVector) store(a + i, sum(load(a + i), load(b + i)));
  });
  for (; i < count; ++i) a[i] = add_requantized(a[i], b[i], s);
}

}  // namespace
}  // namespace iptq
