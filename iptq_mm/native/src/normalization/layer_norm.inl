// LayerNorms: exact sums of a row, one integer root and one division.
#pragma once

#include "arithmetic.inl"

namespace iptq {
namespace {

// floor(sqrt(value)) of 0..2**62: the hardware's root, corrected.
inline u64 integer_root(u64 value) {
  u64 root = static_cast<u64>(__builtin_sqrt(static_cast<double>(value)));
  while (root * root > value) --root;
  while ((root + 1) * (root + 1) <= value) ++root;
  return root;
}

// A row as x * factor - centre, and the sum of its squares. These wrap on the way
// to a result that fits.
struct Centred {
  i64 factor, centre;
  u64 squares;

  // The mean times the row's size.
  static Centred exact(const Moments& m, u64 size) {
    const u64 total = static_cast<u64>(m.total);
    return {static_cast<i64>(size), m.total,
            size * static_cast<u64>(m.squares) - total * total};
  }

  // The mean rounded, with `up` fraction bits.
  static Centred rounded(const Moments& m, i64 size, i64 up) {
    const i64 sum = m.total * (i64{1} << up) + size / 2;
    const i64 mean = sum / size - (sum % size < 0);
    const u64 c = static_cast<u64>(mean), f = u64{1} << up;
    const u64 squares = f * f * static_cast<u64>(m.squares) -
                        2 * f * c * static_cast<u64>(m.total) +
                        static_cast<u64>(size) * c * c;
    return {i64{1} << up, mean, squares};
  }
};

// At least 1, since epsilon is. The limit is for files: constants that no program has must
// not lead to a division by zero.
inline u64 root_of(const LayerNorm& n, u64 squares) {
  constexpr u64 kMost = (u64{1} << 62) - 1;
  const u64 value = (squares << (2 * n.root_shift)) + static_cast<u64>(n.epsilon);
  return integer_root(value - 1 < kMost ? value : kMost);
}

// fqvit_layernorm: gamma / root as an 8-bit mantissa and a shift for each number.
inline void scaled_by_powers(const LayerNorm& n, const i16* x, const Centred& row,
                             i64 reciprocal, i64 target, bool quick) {
  constexpr i64 kBlock = 256;
  constexpr i64 kFactorBits = 15, kCut = 21, kHeadroom = 24, kFraction = 16;
  const i64 exponent = 64 - __builtin_clzll(reciprocal) - kFactorBits;
  const i64 mantissa = reciprocal >> exponent;
  const i64 shift = n.up - kFraction + kHeadroom + 62 - exponent;
  if (quick && scaled_quickly(n, x, row.factor, row.centre, mantissa, shift, target)) return;
  i32 codes[kBlock];
  for (i64 c = 0; c < n.size; c += kBlock) {
    const i64 count = n.size - c < kBlock ? n.size - c : kBlock;
    for (i64 i = 0; i < count; ++i) {
      const i64 factor = n.multiplier[c + i];
      const i64 product = (factor < 0 ? -factor : factor) * mantissa;
      const i64 cut = kCut + (product >> (2 * kFactorBits - 1));
      const i64 size = (product + (i64{1} << (cut - 1))) >> cut;
      const i64 y = x[c + i] * row.factor - row.centre;
      i64 down = shift - n.exponent[c + i] - cut;
      down = down < 0 ? 0 : down > 62 ? 62 : down;
      i64 wide = (factor < 0 ? -size : size) * y * (i64{1} << kHeadroom) >> down;
      codes[i] = clamp((wide + n.addend[c + i]) >> kFraction, n.low, n.high);
    }
    write_row(n.out_type, 0, n.out, target * n.out_row + c, 1, count, codes);
  }
}

// Of any row: kernels add up totals of 32 bits.
inline Moments all_moments_of(const i16* x, i64 size) {
  constexpr i64 kMost = i64{1} << 18;
  Moments all{0, 0};
  for (i64 c = 0; c < size; c += kMost) {
    const Moments m = moments_of(x + c, size - c < kMost ? size - c : kMost);
    all.total += m.total;
    all.squares += m.squares;
  }
  return all;
}

// A row and what it will be multiplied by.
struct NormRow {
  const i16* x;
  i64 target;
  Centred centred;
  u64 squares;
  i64 reciprocal;

  NormRow() = default;

  NormRow(const LayerNorm& n, const i16* x, i64 target) : x(x), target(target) {
    const Moments m = all_moments_of(x, n.size);
    const Centred exact = Centred::exact(m, static_cast<u64>(n.size));
    centred = n.form == kIViT ? exact : Centred::rounded(m, n.size, n.up);
    squares = n.form == kIBERT ? centred.squares : exact.squares;
  }

  void invert(const LayerNorm& n) {
    const i64 bits = n.form == kFQViT ? 62 : n.reciprocal_bits;
    reciprocal = static_cast<i64>((u64{1} << bits) / root_of(n, squares));
  }

  void finish(const LayerNorm& n, bool quick) const {
    if (n.form == kFQViT) scaled_by_powers(n, x, centred, reciprocal, target, quick);
    else normalized(n, x, centred.factor, centred.centre, reciprocal, target);
  }
};

inline void fill_row(const LayerNorm& n, i64 target) {
  const i32 zero = static_cast<i32>(n.zero_point);
  for (i64 c = 0; c < n.size; ++c)
    write_row(n.out_type, 0, n.out, target * n.out_row + c, 1, 1, &zero);
}

i64 layer_norm_tasks(const void* command, i64 threads) {
  const i64 blocks = ceil_div(static_cast<const LayerNorm*>(command)->rows, 4);
  const i64 tasks = threads > 1 ? threads * 8 : 1;
  return blocks < tasks ? blocks : tasks;
}

// Step by step for a few rows: those of one row wait for each other.
void layer_norm_run(const void* command, i64 task, i64 tasks, char*) {
  constexpr i64 kRows = 8;
  const LayerNorm& n = *static_cast<const LayerNorm*>(command);
  const i64 end = n.rows * (task + 1) / tasks;
  const bool quick = n.form == kFQViT && scales_quickly(n);
  for (i64 row = n.rows * task / tasks; row < end;) {
    NormRow rows[kRows];
    i64 count = 0;
    for (; row < end && count < kRows; ++row) {
      const i64 source = n.rows_from ? n.rows_from[row] : row;
      if (source < 0) fill_row(n, row);
      else rows[count++] = NormRow(n, n.x + source * n.x_row, row);
    }
    for (i64 i = 0; i < count; ++i) rows[i].invert(n);
    for (i64 i = 0; i < count; ++i) rows[i].finish(n, quick);
  }
}

}  // namespace
}  // namespace iptq
