// The epilogue of the quick form.
#pragma once

#include "lines_avx512.inl"
#include "targets.inl"

namespace iptq {
namespace {

// What makes bytes of two vectors of codes.
struct Clamped {
  WordLimits limits;

  explicit Clamped(const Gemm& g) : limits(g.low, g.high) {}

  __m256i operator()(__m512i codes) const { return ordered_bytes(limits(codes)); }
};

// The table's function computed, rather than looked up.
struct Interpolated {
  LineVector line;

  explicit Interpolated(const Gemm& g) : line(g.line, g.low, g.high) {}

  __m256i operator()(__m512i codes) const { return ordered_bytes(line(codes)); }
};

struct Tabulated {
  Clamped bytes;
  ByteTable table;

  IPTQ_VBMI explicit Tabulated(const Gemm& g) : bytes(g), table(g.table) {}

  IPTQ_VBMI __m256i operator()(__m512i codes) const { return table(bytes(codes)); }
};

// Two vectors of a panel's columns, or the last one alone. Column by column, since
// registers hold the constants of two.
template <bool Up, bool Both, class Make>
__attribute__((always_inline)) inline void finish_pair(const Gemm& g, const Make& make,
                                                       const Targets& t, i64 part,
                                                       i64 column) {
  const i64 at = column + part * kLanes, rest = g.n - at;
  const ChannelVector first(g, at), second(g, Both ? at + kLanes : at);
  const __mmask32 mask = rest >= 2 * kLanes ? ~0u : (1u << rest) - 1;
#pragma GCC unroll 1
  for (i64 r = 0; r < t.count; ++r) {
    const i32* sums = t.sums[r] + part * kLanes;
    const __m512i a = first.template codes<Up>(load(sums));
    const __m512i b = Both ? second.template codes<Up>(load(sums + kLanes)) : a;
    const __m256i bytes = make(_mm512_packs_epi32(a, b));
    u8* out = static_cast<u8*>(g.out) + t.target[r] * g.out_row + at;
    if (Both)
      _mm256_mask_storeu_epi8(out, mask, bytes);
    else
      _mm_mask_storeu_epi8(out, static_cast<__mmask16>(mask),
                           _mm256_castsi256_si128(bytes));
  }
}

template <int Width, bool Up, class Make>
__attribute__((always_inline)) inline void finish_pairs(const Gemm& g,
                                                        const Targets& targets,
                                                        i64 column, const Make& make) {
  for (int part = 0; part + 2 <= Width; part += 2)
    finish_pair<Up, true>(g, make, targets, part, column);
  if (Width % 2) finish_pair<Up, false>(g, make, targets, Width - 1, column);
}

template <int Width, bool Up, class Make>
void finish_bytes(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  finish_pairs<Width, Up>(g, Targets(g, sums, row, rows), column, Make(g));
}

template <int Width, bool Up>
IPTQ_VBMI void finish_table(const Gemm& g, const i32* sums, i64 row, i64 rows,
                            i64 column) {
  finish_pairs<Width, Up>(g, Targets(g, sums, row, rows), column, Tabulated(g));
}

// Any type; make(codes, result's row, column, mask) has the last word.
template <int Width, bool Up, class Make>
void finish_with(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column,
                 const Make& make) {
  const Targets t(g, sums, row, rows);
  const Limits limits(g.low, g.high);
  for (int j = 0; j < Width; ++j) {
    const i64 at = column + kLanes * j;
    const __mmask16 mask = first_lanes(g.n - at);
    const ChannelVector channels(g, at);
    for (i64 r = 0; r < t.count; ++r) {
      __m512i codes = channels.template codes<Up>(load(t.sums[r] + kLanes * j));
      codes = make(limits(codes), t.target[r], at, mask);
      store_vector(codes, mask, g.out, g.out_type, t.target[r] * g.out_row + at);
    }
  }
}

template <int Width, bool Up>
void finish_vectors(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const auto finish = [&](const auto& make) {
    finish_with<Width, Up>(g, sums, row, rows, column, make);
  };
  if (g.post == kAdd) {
    with_sum(g.sum, [&](const auto& sum) {
      finish([&](__m512i codes, i64 target, i64 at, __mmask16 mask) {
        const i16* residual = residual_of(g, target) + at;
        const __m256i narrow = _mm256_maskz_loadu_epi16(mask, residual);
        return sum(codes, _mm512_cvtepi16_epi32(narrow));
      });
    });
  } else if (g.post == kRescale) {
    with_sum(g.sum, [&](const auto& sum) {
      finish([&](__m512i codes, i64, i64, __mmask16) { return sum(codes); });
    });
  } else {
    finish([](__m512i codes, i64, i64, __mmask16) { return codes; });
  }
}

// Looks codes up one by one: the table has one byte for each of up to 2**16.
template <int Width, bool Up>
void finish_lookups(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const Limits limits(g.low, g.high);
  const u8* table = static_cast<const u8*>(g.table) - g.low;
  const i64 rest = g.n - column, count = rest < Width * kLanes ? rest : Width * kLanes;
  alignas(64) i32 codes[kTileColumns];
  for (i64 r = 0; r < rows; ++r, sums += kTileColumns) {
    const i64 target = target_of(g, row + r);
    if (target < 0) continue;
#pragma GCC unroll 4
    for (int j = 0; j < Width; ++j) {
      const ChannelVector channels(g, column + kLanes * j);
      __m512i wide = channels.template codes<Up>(load(sums + kLanes * j));
      _mm512_store_si512(codes + kLanes * j, limits(wide));
    }
    u8* out = static_cast<u8*>(g.out) + target * g.out_row + column;
    for (i64 c = 0; c < count; ++c) out[c] = table[codes[c]];
  }
}

template <int Width, bool Up>
bool finish_width(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const bool bytes = g.out_type == kU8 && g.low >= 0 && g.high <= 255;
  const bool table = g.post == kTable && g.table_type == kU8 && g.out_type == kU8;
  if (bytes && g.post == kNothing)
    finish_bytes<Width, Up, Clamped>(g, sums, row, rows, column);
  else if (bytes && table && g.low == 0 && permutes_bytes.load(std::memory_order_relaxed))
    finish_table<Width, Up>(g, sums, row, rows, column);
  else if (table && g.line.table)
    finish_bytes<Width, Up, Interpolated>(g, sums, row, rows, column);
  else if (table)
    finish_lookups<Width, Up>(g, sums, row, rows, column);
  else if (g.post != kTable)
    finish_vectors<Width, Up>(g, sums, row, rows, column);
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
  with_sum(s, [&](const auto& sum) {
    for (i64 i = 0; i < count; i += kLanes) {
      const __m512i one = load(a + i);
      _mm512_storeu_si512(a + i, s.right ? sum(one, load(b + i)) : sum(one));
    }
  });
}

}  // namespace
}  // namespace iptq
