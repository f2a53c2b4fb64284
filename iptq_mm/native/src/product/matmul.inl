// Products of two tensors of which neither is constant.
#pragma once

#include "product/pack.inl"
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

template <bool Bytes>
void multiply_groups(const MatMul& c, i64 task, i64 tasks, char* scratch) {
  const MatMulMemory<Bytes> m(c, scratch);
  const i64 tiles = ceil_div(c.m, kTileRows), units = c.groups * tiles;
  const i64 padded = m.panels.vectors * kLanes, end = units * (task + 1) / tasks;
  i64 packed = -1;
  for (i64 unit = units * task / tasks; unit < end; ++unit) {
    const i64 group = unit / tiles, row = unit % tiles * kTileRows;
    const i64 rows = c.m - row < kTileRows ? c.m - row : kTileRows;
    if (packed != group) {
      const auto pack = c.by_columns ? pack_columns<Bytes> : pack_depths<Bytes>;
      pack(c.b + c.b_at[group], c.b_row, c.n, c.k, c.a_zero_point, m.packed, m.start);
      packed = group;
    }
    const i64 at = c.a_at[group] + row * c.a_row;
    if constexpr (Bytes) {
      multiply<true>(static_cast<const char*>(c.a) + at, c.a_row, rows, m.panels,
                     m.packed, m.start, m.sums, padded);
    } else {
      widen_left(c, at, rows, m.depth, m.rows);
      multiply<false>(reinterpret_cast<const char*>(m.rows), 2 * m.depth, rows,
                      m.panels, m.packed, m.start, m.sums, padded);
    }
    store_results(c.result, c.n, m.sums, padded, rows, c.out, c.out_type,
                  c.out_at[group] + row * c.out_row, c.out_row);
  }
}

i64 matmul_tasks(const void* command, i64 threads) {
  const MatMul& c = *static_cast<const MatMul*>(command);
  const i64 units = c.groups * ceil_div(c.m, kTileRows);
  const i64 tasks = threads > 1 ? threads * 4 : 1;
  return units < tasks ? units : tasks;
}

i64 matmul_scratch(const void* command) {
  return MatMulMemory<false>(*static_cast<const MatMul*>(command), nullptr).bytes;
}

void matmul_run(const void* command, i64 task, i64 tasks, char* scratch) {
  const MatMul& c = *static_cast<const MatMul*>(command);
  if constexpr (kByteProducts) {
    if (c.a_type == kU8) return multiply_groups<true>(c, task, tasks, scratch);
  }
  multiply_groups<false>(c, task, tasks, scratch);
}

}  // namespace
}  // namespace iptq
