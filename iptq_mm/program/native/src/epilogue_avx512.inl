// The epilogue of the quick form, a panel's width at a time.
#pragma once

#include "arithmetic.inl"
#include "vectors_avx512.inl"

namespace iptq {
namespace {

inline i64 target_of(const Gemm& g, i64 row) { return g.rows ? g.rows[row] : row; }

template <int Width>
struct ChannelVectors {
  ChannelVector part[Width];

  ChannelVectors(const Gemm& g, i64 column) {
    for (int j = 0; j < Width; ++j)
      part[j] = ChannelVector(g, column + kLanes * j);
  }
};

// Rows of bytes, with or without a table of bytes.
template <int Width, bool Up, bool Lookup>
void finish_bytes(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const ChannelVectors<Width> channels(g, column);
  const __m512i low = _mm512_set1_epi8(static_cast<char>(g.low));
  const __m512i high = _mm512_set1_epi8(static_cast<char>(g.high));
  const i64 rest = g.n - column, count = rest < Width * kLanes ? rest : Width * kLanes;
  const __mmask64 mask = count == 64 ? ~0ull : (1ull << count) - 1;
  const ByteTable table(Lookup ? g.table : static_cast<const void*>(sums));
  for (i64 r = 0; r < rows; ++r, sums += kTileColumns) {
    const i64 target = target_of(g, row + r);
    if (target < 0) continue;
    __m512i codes[4] = {};
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j)
      codes[j] = channels.part[j].template codes<Up>(load(sums + kLanes * j));
    __m512i bytes = pack_bytes(codes[0], codes[1], codes[2], codes[3]);
    bytes = _mm512_max_epu8(low, _mm512_min_epu8(high, bytes));
    if constexpr (Lookup) bytes = table(bytes);
    u8* out = static_cast<u8*>(g.out) + target * g.out_row + column;
    _mm512_mask_storeu_epi8(out, mask, bytes);
  }
}

// Any type, with or without the residual's sum.
template <int Width, bool Up, bool Add>
void finish_vectors(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const ChannelVectors<Width> channels(g, column);
  const Limits limits(g.low, g.high);
  const SumVector residual(g.sum);
  for (i64 r = 0; r < rows; ++r, sums += kTileColumns) {
    const i64 target = target_of(g, row + r);
    if (target < 0) continue;
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) {
      const i64 at = column + kLanes * j;
      const __mmask16 mask = first_lanes(g.n - at);
      __m512i codes = channels.part[j].template codes<Up>(load(sums + kLanes * j));
      codes = limits(codes);
      if constexpr (Add) {
        const i16* other = g.residual + target * g.residual_row + at;
        __m256i narrow = _mm256_maskz_loadu_epi16(mask, other);
        codes = residual(codes, _mm512_cvtepi16_epi32(narrow));
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
    finish_bytes<Width, Up, false>(g, sums, row, rows, column);
  else if (bytes && table && g.low == 0)
    finish_bytes<Width, Up, true>(g, sums, row, rows, column);
  else if (table && g.line.lines)
    finish_lines<Width, Up>(g, sums, row, rows, column);
  else if (table)
    finish_lookups<Width, Up>(g, sums, row, rows, column);
  else if (g.post == kAdd)
    finish_vectors<Width, Up, true>(g, sums, row, rows, column);
  else if (g.post == kNothing)
    finish_vectors<Width, Up, false>(g, sums, row, rows, column);
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

}  // namespace
}  // namespace iptq
