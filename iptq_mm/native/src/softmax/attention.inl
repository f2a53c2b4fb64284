// softmax(q k^T) v, a tile of queries at a time: their scores stay in the cache.
#pragma once

#include <algorithm>
#include <type_traits>

#include "product/packing/pack.inl"
#include "product/tiles.inl"
#include "softmax/softmax.inl"

namespace iptq {
namespace {

// Keys are padded to what softmax and products take at a time.
constexpr i64 kKeys = kTileDepth > 2 * kLanes ? kTileDepth : 2 * kLanes;

// Scores of rows whose softmax is computed step by step: they stay in the L1 cache.
constexpr i64 kMostScores = 4096;

// Probabilities and values of a product: bytes; words and bytes, as words; or the same,
// the words as two bytes each.
enum Operands { kOfBytes, kOfWords, kOfSplitWords };

template <Operands P>
struct ProbabilityOf {
  using Type = i16;
};

template <>
struct ProbabilityOf<kOfBytes> {
  using Type = u8;
};

template <>
struct ProbabilityOf<kOfSplitWords> {
  using Type = SplitProbability;
};

// Where a task keeps what.
template <Operands P>
struct AttentionMemory {
  using Probability = typename ProbabilityOf<P>::Type;
  static constexpr bool kByteValues = P != kOfWords;
  i64 keys_padded, depth_padded, values_padded, p_row;  // elements
  i64 together;  // rows whose softmax is computed step by step
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
    together = kMostScores / keys_padded;
    if (together < 1) together = 1;
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
void multiply_values(const Attention& a, const AttentionMemory<P>& m,
                     const PanelLayout& values, i64 rows) {
  if constexpr (P == kOfSplitWords)
    multiply_split(m.p, m.p_row, rows, values, m.values, m.value_start, m.sums,
                   m.values_padded, m.form);
  else
    multiply<P == kOfBytes>(reinterpret_cast<const char*>(m.p), m.p_row * sizeof *m.p, rows,
                            values, m.values, m.value_start, m.sums, m.values_padded,
                            m.form);
}

// The queries of a tile.
struct QueryRows {
  i64 first, count;

  QueryRows(const Attention& a, i64 tile)
      : first(tile * kTileRows),
        count(a.queries - first < kTileRows ? a.queries - first : kTileRows) {}
};

// Tiles of a group, whose keys and values are packed. The scores of the next tile come
// before the results of this one: probabilities that were written just before are slow to
// read for a product.
template <Operands P>
void attend_tiles(const Attention& a, const AttentionMemory<P>& m, const Softmax& softmax,
                  const Tables& tables, const PanelLayout& values, i64 group, i64 first,
                  i64 last) {
  const auto multiply_tile = [&](i64 t) {
    const QueryRows rows(a, t);
    multiply_queries(a, m, a.q + a.q_at[group] + rows.first * a.q_row, rows.count);
  };
  if (first < last) multiply_tile(first);
  for (i64 t = first; t < last; ++t) {
    const QueryRows rows(a, t);
    for (i64 r = 0; r < rows.count; r += m.together) {
      const i64 rest = rows.count - r, count = rest < m.together ? rest : m.together;
      i32* scores = m.scores + r * m.keys_padded;
      const Scores form = score_rows(a, group, rows.first + r, count, scores, m.keys_padded);
      softmax_rows(softmax, tables, scores, m.keys_padded, count, a.keys, form,
                   m.p + r * m.p_row, m.p_row);
    }
    if (t + 1 < last) multiply_tile(t + 1);
    multiply_values(a, m, values, rows.count);
    store_results(a.result, a.value_depth, m.sums, m.values_padded, rows.count, a.out,
                  a.out_type, a.out_at[group] + rows.first * a.out_row, a.out_row);
  }
}

template <Operands P>
void attend(const Attention& a, i64 task, i64 tasks, char* scratch) {
  constexpr bool bytes = AttentionMemory<P>::kByteValues;
  const AttentionMemory<P> m(a, scratch);
  const Tables tables(a.softmax);
  const AttentionGrid grid(a, tasks);
  const TileConfig config(0);
  const PanelLayout values = panels_of<bytes>(a.value_depth, a.keys);
  Softmax softmax = a.softmax;
  if (P == kOfSplitWords) softmax.zero_point = 0;  // split words are without it
  const i64 end = grid.units * (task + 1) / tasks;
  // What softmax leaves beyond the keys meets zeros.
  std::memset(m.p, 0, kTileRows * m.p_row * sizeof *m.p);
  for (i64 unit = grid.units * task / tasks; unit < end; ++unit) {
    const i64 group = grid.group(unit);
    pack_columns<kByteProducts>(a.k + a.k_at[group], a.k_row, a.keys, a.depth,
                                a.q_zero_point, m.keys, m.key_start);
    pack_depths<bytes>(a.v + a.v_at[group], a.v_row, a.value_depth, a.keys,
                       softmax.zero_point, m.values, m.value_start);
    attend_tiles(a, m, softmax, tables, values, group, grid.first_tile(unit),
                 grid.last_tile(unit));
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
  const i64 split = AttentionMemory<kSplitsWords ? kOfSplitWords : kOfWords>(a, nullptr).bytes;
  const i64 words = AttentionMemory<kOfWords>(a, nullptr).bytes;
  return std::max(words, std::max(bytes, split));
}

void attention_run(const void* command, i64 task, i64 tasks, char* scratch) {
  const Attention& a = *static_cast<const Attention*>(command);
  if constexpr (kByteProducts) {
    if (a.p_type == kU8) return attend<kOfBytes>(a, task, tasks, scratch);
  }
  // Where rows are made split, those of log_int_softmax are not.
  constexpr bool any = std::is_same<SplitProbability, i16>::value;
  if constexpr (kSplitsWords) {
    if (any || a.softmax.form != kPowers)
      return attend<kOfSplitWords>(a, task, tasks, scratch);
  }
  if constexpr (!kSplitsWords || !any) attend<kOfWords>(a, task, tasks, scratch);
}

}  // namespace
}  // namespace iptq
