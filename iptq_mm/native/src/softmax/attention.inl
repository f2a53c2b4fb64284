// softmax(q k^T) v, a tile of queries at a time: their scores stay in the cache.
#pragma once

#include <type_traits>

#include "product/pack.inl"
#include "product/tiles.inl"
#include "softmax/softmax.inl"

namespace iptq {
namespace {

// Keys are padded to what softmax and products take at a time.
constexpr i64 kKeys = kTileDepth > 2 * kLanes ? kTileDepth : 2 * kLanes;

// Probabilities and values of a product: bytes; words and bytes, as words; or the same,
// the words as two bytes each.
enum Operands { kOfBytes, kOfWords, kOfSplitWords };

// Where a task keeps what.
template <Operands P>
struct AttentionMemory {
  using Probability = typename std::conditional<P == kOfBytes, u8, i16>::type;
  static constexpr bool kByteValues = P != kOfWords;
  i64 keys_padded, depth_padded, values_padded, p_row;  // elements
  char *keys, *values;
  i32 *key_start, *value_start, *scores, *sums;
  i16* queries;
  Probability* p;
  char* form;
  i64 bytes = 0;

  AttentionMemory(const Attention& a, char* memory) {
    keys_padded = ceil_div(a.keys, kKeys) * kKeys;
    values_padded = ceil_div(a.value_depth, kLanes) * kLanes;
    depth_padded = ceil_div(a.depth, 4) * 4;
    p_row = keys_padded;
    auto take = [&](i64 size) {
      char* at = memory + bytes;
      bytes += ceil_div(size, 64) * 64;
      return at;
    };
    keys = take(packed_bytes<kByteProducts>(a.keys, a.depth));
    values = take(packed_bytes<kByteValues>(a.value_depth, a.keys));
    key_start = reinterpret_cast<i32*>(take(keys_padded * 4));
    value_start = reinterpret_cast<i32*>(take(values_padded * 4));
    scores = reinterpret_cast<i32*>(take(kTileRows * keys_padded * 4));
    sums = reinterpret_cast<i32*>(take(kTileRows * values_padded * 4));
    queries = reinterpret_cast<i16*>(take(kTileRows * depth_padded * 2));
    p = reinterpret_cast<Probability*>(take(kTileRows * p_row * sizeof *p));
    const i64 of_queries = panels_of<kByteProducts>(a.keys, a.depth).groups;
    const i64 of_keys = panels_of<kByteValues>(a.value_depth, a.keys).groups;
    form = take(2 * formed_bytes(kTileRows, 4 * (of_keys > of_queries ? of_keys : of_queries)));
  }
};

// Units of work: blocks of rows of groups. Where groups are few, there is a block for
// each thread.
struct AttentionGrid {
  i64 groups, tiles, blocks, units;

  AttentionGrid(const Attention& a, i64 tasks)
      : groups(a.groups),
        tiles(ceil_div(a.queries, kTileRows)),
        blocks(tasks > groups ? tasks / groups : 1),
        units(blocks * groups) {}

  i64 group(i64 unit) const { return unit % groups; }
  i64 first_tile(i64 unit) const { return tiles * (unit / groups) / blocks; }
  i64 last_tile(i64 unit) const { return tiles * (unit / groups + 1) / blocks; }
};

template <Operands P>
void multiply_queries(const Attention& a, const AttentionMemory<P>& m,
                      const u8* q, i64 rows) {
  const PanelLayout panels = panels_of<kByteProducts>(a.keys, a.depth);
  if constexpr (kByteProducts) {
    multiply<true>(reinterpret_cast<const char*>(q), a.q_row, rows, panels, m.keys,
                   m.key_start, m.scores, m.keys_padded, m.form);
  } else {
    for (i64 i = 0; i < rows; ++i)
      for (i64 d = 0; d < m.depth_padded; ++d)
        m.queries[i * m.depth_padded + d] = d < a.depth ? q[i * a.q_row + d] : 0;
    multiply<false>(reinterpret_cast<const char*>(m.queries), 2 * m.depth_padded, rows,
                    panels, m.keys, m.key_start, m.scores, m.keys_padded, m.form);
  }
}

template <Operands P>
void attend_rows(const Attention& a, const AttentionMemory<P>& m,
                 const Tables& tables, const PanelLayout& values, i64 group, i64 row,
                 i64 rows) {
  multiply_queries(a, m, a.q + a.q_at[group] + row * a.q_row, rows);
  const bool words = score_rows(a, group, row, rows, m.scores, m.keys_padded);
  softmax_rows(a.softmax, tables, m.scores, m.keys_padded, rows, a.keys, words, m.p,
               m.p_row);
  if constexpr (P == kOfSplitWords)
    multiply_split(m.p, m.p_row, rows, a.softmax.zero_point, values, m.values,
                   m.value_start, m.sums, m.values_padded, m.form);
  else
    multiply<P == kOfBytes>(reinterpret_cast<const char*>(m.p), m.p_row * sizeof *m.p, rows,
                            values, m.values, m.value_start, m.sums, m.values_padded,
                            m.form);
  store_results(a.result, a.value_depth, m.sums, m.values_padded, rows, a.out,
                a.out_type, a.out_at[group] + row * a.out_row, a.out_row);
}

template <Operands P>
void attend(const Attention& a, i64 task, i64 tasks, char* scratch) {
  const AttentionMemory<P> m(a, scratch);
  const Tables tables(a.softmax);
  const AttentionGrid grid(a, tasks);
  const TileConfig config(0);
  const PanelLayout values = panels_of<AttentionMemory<P>::kByteValues>(a.value_depth, a.keys);
  const i64 end = grid.units * (task + 1) / tasks;
  // What softmax leaves beyond the keys meets zeros.
  std::memset(m.p, 0, kTileRows * m.p_row * sizeof *m.p);
  for (i64 unit = grid.units * task / tasks; unit < end; ++unit) {
    const i64 group = grid.group(unit);
    pack_columns<kByteProducts>(a.k + a.k_at[group], a.k_row, a.keys, a.depth,
                                a.q_zero_point, m.keys, m.key_start);
    pack_depths<m.kByteValues>(a.v + a.v_at[group], a.v_row, a.value_depth, a.keys,
                               P == kOfSplitWords ? 0 : a.softmax.zero_point, m.values,
                               m.value_start);
    for (i64 t = grid.first_tile(unit); t < grid.last_tile(unit); ++t) {
      const i64 row = t * kTileRows;
      const i64 rows = a.queries - row < kTileRows ? a.queries - row : kTileRows;
      attend_rows(a, m, tables, values, group, row, rows);
    }
  }
}

constexpr i64 kGroupsOfThread = 8;

i64 attention_tasks(const void* command, i64 threads) {
  const Attention& a = *static_cast<const Attention*>(command);
  if (threads == 1) return 1;
  const i64 few = threads * kGroupsOfThread;
  if (a.groups >= few) return few;
  const i64 tiles = ceil_div(a.queries, kTileRows);
  return a.groups * (tiles < threads ? tiles : threads);
}

i64 attention_scratch(const void* command) {
  const Attention& a = *static_cast<const Attention*>(command);
  const i64 bytes = AttentionMemory<kByteProducts ? kOfBytes : kOfWords>(a, nullptr).bytes;
  const i64 words = AttentionMemory<kSplitsWords ? kOfSplitWords : kOfWords>(a, nullptr).bytes;
  return bytes > words ? bytes : words;
}

void attention_run(const void* command, i64 task, i64 tasks, char* scratch) {
  const Attention& a = *static_cast<const Attention*>(command);
  if constexpr (kByteProducts) {
    if (a.p_type == kU8) return attend<kOfBytes>(a, task, tasks, scratch);
  }
  attend<kSplitsWords ? kOfSplitWords : kOfWords>(a, task, tasks, scratch);
}

}  // namespace
}  // namespace iptq
