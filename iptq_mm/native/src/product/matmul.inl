// Products of two tensors of which neither is constant.
#pragma once

#include "product/halves.inl"
#include "product/packing/pack.inl"
#include "product/packing/pack_words.inl"
#include "product/tiles.inl"

namespace iptq {
namespace {

template <bool Bytes>
struct MatMulMemory {
  PanelLayout panels;
  i64 depth;  // elements of a row of `a`
  char* packed;
  i32 *start, *sums;
  i16* rows;
  char* form;
  i64 bytes = 0;

  MatMulMemory(const MatMul& c, char* memory)
      : panels(panels_of<Bytes>(c.n, c.k)), depth(ceil_div(c.k, 4) * 4) {
    auto take = [&](i64 size) {
      char* at = memory + bytes;
      bytes += ceil_div(size, 64) * 64;
      return at;
    };
    const i64 padded = panels.vectors * kLanes;
    packed = take(packed_bytes<Bytes>(c.n, c.k));
    start = reinterpret_cast<i32*>(take(padded * 4));
    sums = reinterpret_cast<i32*>(take(kTileRows * padded * 4));
    rows = reinterpret_cast<i16*>(take(kTileRows * depth * 2));
    form = take(formed_bytes(kTileRows, 4 * panels.groups));
  }
};

// Rows of `a` as int16, zeros after them.
inline void widen_left(const MatMul& c, i64 at, i64 rows, i64 depth, i16* to) {
  for (i64 i = 0; i < rows; ++i, at += c.a_row, to += depth) {
    if (c.a_type == kU8)
      for (i64 d = 0; d < c.k; ++d) to[d] = static_cast<const u8*>(c.a)[at + d];
    else
      std::memcpy(to, static_cast<const i16*>(c.a) + at, c.k * sizeof *to);
    for (i64 d = c.k; d < depth; ++d) to[d] = 0;
  }
}

// Packs `b` of a group for a left operand of some zero point.
template <bool Bytes>
void pack_right(const MatMul& c, i64 group, i64 zero_point, char* to, i32* start) {
  if constexpr (!Bytes) {
    if (c.b_type == kI16) {
      const auto pack = c.by_columns ? pack_word_columns : pack_word_depths;
      const i16* from = static_cast<const i16*>(c.b) + c.b_at[group];
      return pack(from, c.b_row, c.n, c.k, zero_point, to, start);
    }
  }
  const auto pack = c.by_columns ? pack_columns<Bytes> : pack_depths<Bytes>;
  const u8* from = static_cast<const u8*>(c.b) + c.b_at[group];
  pack(from, c.b_row, c.n, c.k, zero_point, to, start);
}

template <bool Bytes>
void multiply_groups(const MatMul& c, i64 task, i64 tasks, char* scratch) {
  const MatMulMemory<Bytes> m(c, scratch);
  const i64 tiles = ceil_div(c.m, kTileRows), units = c.groups * tiles;
  const i64 padded = m.panels.vectors * kLanes, end = units * (task + 1) / tasks;
  const TileConfig config(0);
  i64 packed = -1;
  for (i64 unit = units * task / tasks; unit < end; ++unit) {
    const i64 group = unit / tiles, row = unit % tiles * kTileRows;
    const i64 rows = c.m - row < kTileRows ? c.m - row : kTileRows;
    if (packed != group) {
      pack_right<Bytes>(c, group, c.a_zero_point, m.packed, m.start);
      packed = group;
    }
    const i64 at = c.a_at[group] + row * c.a_row;
    if constexpr (Bytes) {
      multiply<true>(static_cast<const char*>(c.a) + at, c.a_row, rows, m.panels,
                     m.packed, m.start, m.sums, padded, m.form);
    } else {
      widen_left(c, at, rows, m.depth, m.rows);
      multiply<false>(reinterpret_cast<const char*>(m.rows), 2 * m.depth, rows,
                      m.panels, m.packed, m.start, m.sums, padded, m.form);
    }
    store_results(c.result, c.n, m.sums, padded, rows, c.out, c.out_type,
                  c.out_at[group] + row * c.out_row, c.out_row);
  }
}

// `size` sums of each row, kTileColumns apart, to results from column `column` on.
inline void store_sums(const MatMul& c, const i64* sums, i64 rows, i64 size, i64 at) {
  const Requantization& r = c.result;
  const i64 low = r.low, high = r.high;
  i32 codes[kTileColumns];
  for (i64 row = 0; row < rows; ++row, sums += kTileColumns, at += c.out_row) {
    for (i64 i = 0; i < size; ++i)
      codes[i] = requantized_sum(sums[i], r.multiplier, r.offset, r.shift, low, high);
    write_row(c.out_type, 0, c.out, at, 1, size, codes);
  }
}

// A tile of a group with sums of 64 bits, panel after panel.
inline void multiply_in_halves(const MatMul& c, i64 group, i64 row, i64 rows,
                               const MatMulMemory<false>& m, HalvedTile& halves) {
  constexpr i64 kDepths = 4 * kHalvesGroups;
  for (i64 p = 0; p < m.panels.count; ++p) {
    const i64 width = m.panels.width_of(p), column = m.panels.column(p);
    const char* b = m.packed + m.panels.at(p, 8);
    for (i64 from = 0; from < c.k; from += kDepths) {
      const i64 count = c.k - from < kDepths ? c.k - from : kDepths;
      const i64 pairs = ceil_div(count, 2);
      halves.restart();
      for (i64 i = 0; i < rows; ++i) {
        i32 integers[kDepths];
        const i64 at = c.a_at[group] + (row + i) * c.a_row + from;
        read_row(c.a_type, c.a_zero_point, c.a, at, 1, count, integers);
        halves.divide(integers, count, 2 * pairs, i);
      }
      halves.multiply(1, rows, b + from / 2 * 64 * width, pairs, width, from == 0);
    }
    const i64 rest = c.n - column, size = width * kLanes;
    store_sums(c, halves.sums, rows, rest < size ? rest : size,
               c.out_at[group] + row * c.out_row + column);
  }
}

void multiply_groups_in_halves(const MatMul& c, i64 task, i64 tasks, char* scratch) {
  const MatMulMemory<false> m(c, scratch);
  HalvedTile halves;
  const i64 tiles = ceil_div(c.m, kTileRows), units = c.groups * tiles;
  const i64 end = units * (task + 1) / tasks;
  i64 packed = -1;
  for (i64 unit = units * task / tasks; unit < end; ++unit) {
    const i64 group = unit / tiles, row = unit % tiles * kTileRows;
    if (packed != group) pack_right<false>(c, group, 0, m.packed, m.start);
    packed = group;
    const i64 rows = c.m - row < kTileRows ? c.m - row : kTileRows;
    multiply_in_halves(c, group, row, rows, m, halves);
  }
}

i64 matmul_tasks(const void* command, i64 threads) {
  const MatMul& c = *static_cast<const MatMul*>(command);
  const i64 units = c.groups * ceil_div(c.m, kTileRows);
  const i64 tasks = threads > 1 ? threads * 4 : 1;
  return units < tasks ? units : tasks;
}

i64 matmul_scratch(const void* command) {
  // Of bytes or of words, whichever takes more: tiles of bytes may be padded far.
  const MatMul& c = *static_cast<const MatMul*>(command);
  const i64 bytes = MatMulMemory<kByteProducts>(c, nullptr).bytes;
  const i64 words = MatMulMemory<false>(c, nullptr).bytes;
  return bytes > words ? bytes : words;
}

void matmul_run(const void* command, i64 task, i64 tasks, char* scratch) {
  const MatMul& c = *static_cast<const MatMul*>(command);
  if (c.halves) return multiply_groups_in_halves(c, task, tasks, scratch);
  if constexpr (kByteProducts) {
    if (c.a_type == kU8 && c.b_type == kU8)
      return multiply_groups<true>(c, task, tasks, scratch);
  }
  multiply_groups<false>(c, task, tasks, scratch);
}

}  // namespace
}  // namespace iptq
