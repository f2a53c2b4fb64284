// The epilogue of the quick form, a panel's width at a time.
#pragma once

#include "arithmetic.inl"
#include "vectors_avx512.inl"

namespace iptq {
namespace {

template <int Width>
struct ChannelVectors {
  ChannelVector part[Width];

  ChannelVectors(const Gemm& g, i64 column) {
    for (int j = 0; j < Width; ++j)
      part[j] = ChannelVector(g, column + kLanes * j);
  }
};

// 64 codes of bytes, clamped.
template <int Width, bool Up>
struct ByteVectors {
  ChannelVectors<Width> channels;
  __m512i low, high;

  ByteVectors(const Gemm& g, i64 column)
      : channels(g, column),
        low(_mm512_set1_epi8(static_cast<char>(g.low))),
        high(_mm512_set1_epi8(static_cast<char>(g.high))) {}

  __m512i operator()(const i32* sums) const {
    __m512i codes[4] = {};
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j)
      codes[j] = channels.part[j].template codes<Up>(load(sums + kLanes * j));
    const __m512i bytes = pack_bytes(codes[0], codes[1], codes[2], codes[3]);
    return _mm512_max_epu8(low, _mm512_min_epu8(high, bytes));
  }
};

inline __mmask64 first_bytes(i64 count) {
  return count >= 64 ? ~0ull : (1ull << count) - 1;
}

// Rows of bytes.
template <int Width, bool Up>
void finish_bytes(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const ByteVectors<Width, Up> bytes(g, column);
  const i64 rest = g.n - column;
  const __mmask64 mask = first_bytes(rest < Width * kLanes ? rest : Width * kLanes);
  for (i64 r = 0; r < rows; ++r, sums += kTileColumns) {
    const i64 target = target_of(g, row + r);
    if (target < 0) continue;
    u8* out = static_cast<u8*>(g.out) + target * g.out_row + column;
    _mm512_mask_storeu_epi8(out, mask, bytes(sums));
  }
}

// Rows of bytes, by a table of bytes.
template <int Width, bool Up>
IPTQ_VBMI void finish_table(const Gemm& g, const i32* sums, i64 row, i64 rows,
                            i64 column) {
  const ByteVectors<Width, Up> bytes(g, column);
  const ByteTable table(g.table);
  const i64 rest = g.n - column;
  const __mmask64 mask = first_bytes(rest < Width * kLanes ? rest : Width * kLanes);
  for (i64 r = 0; r < rows; ++r, sums += kTileColumns) {
    const i64 target = target_of(g, row + r);
    if (target < 0) continue;
    u8* out = static_cast<u8*>(g.out) + target * g.out_row + column;
    _mm512_mask_storeu_epi8(out, mask, table(bytes(sums)));
  }
}

// Any type: as they are, with the residual's sum, or requantized once more.
template <int Width, bool Up, Post After>
void finish_vectors(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const ChannelVectors<Width> channels(g, column);
  const Limits limits(g.low, g.high);
  const SumVector sum(g.sum);
  for (i64 r = 0; r < rows; ++r, sums += kTileColumns) {
    const i64 target = target_of(g, row + r);
    if (target < 0) continue;
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) {
      const i64 at = column + kLanes * j;
      const __mmask16 mask = first_lanes(g.n - at);
      __m512i codes = channels.part[j].template codes<Up>(load(sums + kLanes * j));
      codes = limits(codes);
      if constexpr (After == kAdd) {
        __m256i narrow = _mm256_maskz_loadu_epi16(mask, residual_of(g, target) + at);
        codes = sum(codes, _mm512_cvtepi16_epi32(narrow));
      } else if constexpr (After == kRescale) {
        codes = sum(codes);
      }
      store_vector(codes, mask, g.out, g.out_type, target * g.out_row + at);
    }
  }
}

// Looks codes up one by one: the table has one byte for each of up to 2**16.
template <int Width, bool Up>
void finish_lookups(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const ChannelVectors<Width> channels(g, column);
  const Limits limits(g.low, g.high);
  const u8* table = static_cast<const u8*>(g.table) - g.low;
  const i64 rest = g.n - column, count = rest < Width * kLanes ? rest : Width * kLanes;
  alignas(64) i32 codes[kTileColumns];
  for (i64 r = 0; r < rows; ++r, sums += kTileColumns) {
    const i64 target = target_of(g, row + r);
    if (target < 0) continue;
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) {
      __m512i wide = channels.part[j].template codes<Up>(load(sums + kLanes * j));
      _mm512_store_si512(codes + kLanes * j, limits(wide));
    }
    u8* out = static_cast<u8*>(g.out) + target * g.out_row + column;
    for (i64 c = 0; c < count; ++c) out[c] = table[codes[c]];
  }
}

// The table's function computed, rather than looked up.
template <int Width, bool Up>
void finish_lines(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const ChannelVectors<Width> channels(g, column);
  const Limits limits(g.low, g.high);
  const LineVector line(g.line);
  for (i64 r = 0; r < rows; ++r, sums += kTileColumns) {
    const i64 target = target_of(g, row + r);
    if (target < 0) continue;
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) {
      const i64 at = column + kLanes * j;
      __m512i x = channels.part[j].template codes<Up>(load(sums + kLanes * j));
      store_vector(line(limits(x)), first_lanes(g.n - at), g.out, kU8,
                   target * g.out_row + at);
    }
  }
}

template <int Width, bool Up>
bool finish_width(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const bool bytes = g.out_type == kU8 && g.low >= 0 && g.high <= 255;
  const bool table = g.post == kTable && g.table_type == kU8 && g.out_type == kU8;
  if (bytes && g.post == kNothing)
    finish_bytes<Width, Up>(g, sums, row, rows, column);
  else if (bytes && table && g.low == 0 && permutes_bytes.load(std::memory_order_relaxed))
    finish_table<Width, Up>(g, sums, row, rows, column);
  else if (table && g.line.lines)
    finish_lines<Width, Up>(g, sums, row, rows, column);
  else if (table)
    finish_lookups<Width, Up>(g, sums, row, rows, column);
  else if (g.post == kAdd)
    finish_vectors<Width, Up, kAdd>(g, sums, row, rows, column);
  else if (g.post == kRescale)
    finish_vectors<Width, Up, kRescale>(g, sums, row, rows, column);
  else if (g.post == kNothing)
    finish_vectors<Width, Up, kNothing>(g, sums, row, rows, column);
  else
    return false;
  return true;
}

// True if the form is one of those above.
inline bool finish_quickly(const Gemm& g, const i32* sums, i64 row, i64 rows,
                           i64 column, i64 width) {
  if (!g.quick) return false;
  switch (width + (g.up ? kMaxWidth : 0)) {
    case 1: return finish_width<1, false>(g, sums, row, rows, column);
    case 2: return finish_width<2, false>(g, sums, row, rows, column);
    case 3: return finish_width<3, false>(g, sums, row, rows, column);
    case 4: return finish_width<4, false>(g, sums, row, rows, column);
    case 5: return finish_width<1, true>(g, sums, row, rows, column);
    case 6: return finish_width<2, true>(g, sums, row, rows, column);
    case 7: return finish_width<3, true>(g, sums, row, rows, column);
    default: return finish_width<4, true>(g, sums, row, rows, column);
  }
}

// Sums of two rows; the first one becomes the result. Both have room for vectors.
inline void add_rows(const Sum& s, i32* a, const i32* b, i64 count) {
  const SumVector sum(s);
  for (i64 i = 0; i < count; i += kLanes)
    _mm512_storeu_si512(a + i, s.right ? sum(load(a + i), load(b + i)) : sum(load(a + i)));
}

}  // namespace
}  // namespace iptq
