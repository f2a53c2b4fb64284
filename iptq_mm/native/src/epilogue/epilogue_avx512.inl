// The epilogue of the quick form, (4) to (7) in epilogue.inl, a vector at a time.
#pragma once

#include "epilogue/lines/line_avx512.inl"
#include "epilogue/no_constants.inl"
#include "epilogue/targets.inl"
#include "epilogue/word_sums_avx512.inl"

namespace iptq {
namespace {

// Codes of a tile's rows in words: those of two vectors of columns in each register.
struct TileWords {
  alignas(64) i16 at[kTileRows][kMaxWidth / 2][2 * kLanes];
};

// Column by column, since registers hold the constants of two vectors.
template <int Width, bool Up>
__attribute__((always_inline)) inline void requantize(const Gemm& g, const Targets& t,
                                                      i64 column, TileWords& words) {
#pragma GCC unroll 1
  for (int part = 0; part < Width; part += 2) {
    const bool both = Width % 2 == 0 || part + 1 < Width;
    const i64 at = column + part * kLanes;
    const ChannelVector first(g, at), second(g, both ? at + kLanes : at);
#pragma GCC unroll 1
    for (i64 r = 0; r < t.count; ++r) {
      const i32* sums = t.sums[r] + part * kLanes;
      const __m512i a = first.template codes<Up>(load(sums));
      const __m512i b = both ? second.template codes<Up>(load(sums + kLanes)) : a;
      _mm512_store_si512(words.at[r][part / 2], _mm512_packs_epi32(a, b));
    }
  }
}

// What makes bytes of a row's words.
struct Clamped {
  OrderedBytes bytes;

  explicit Clamped(const Gemm& g) : bytes(g.low, g.high) {}

  __m512i operator()(__m512i first, __m512i second, bool) const {
    return bytes(first, second);
  }
};

// The table's function computed, rather than looked up.
struct Interpolated {
  LineVector line;
  OrderedBytes bytes;

  explicit Interpolated(const Gemm& g)
      : line(g.line, g.low, g.high), bytes(g.line.low, g.line.high) {}

  __m512i operator()(__m512i first, __m512i second, bool both) const {
    return bytes(line(first), both ? line(second) : second);
  }
};

// The same, whose bytes are looked up afterwards.
struct InterpolatedLevels {
  Interpolated line;
  ByteTable codes;

  IPTQ_VBMI explicit InterpolatedLevels(const Gemm& g) : line(g), codes(g.line.codes) {}

  IPTQ_VBMI __m512i operator()(__m512i first, __m512i second, bool both) const {
    return codes(line(first, second, both));
  }
};

struct Tabulated {
  OrderedBytes bytes;
  ByteTable table;

  IPTQ_VBMI explicit Tabulated(const Gemm& g) : bytes(g.low, g.high), table(g.table) {}

  IPTQ_VBMI __m512i operator()(__m512i first, __m512i second, bool) const {
    return table(bytes(first, second));
  }
};

template <int Width, bool Up, class Make>
__attribute__((always_inline)) inline void finish_rows(const Gemm& g, const i32* sums,
                                                       i64 row, i64 rows, i64 column,
                                                       const Make& make) {
  const Targets t(g, sums, row, rows);
  TileWords words;
  requantize<Width, Up>(g, t, column, words);
  const i64 rest = g.n - column, count = rest < Width * kLanes ? rest : Width * kLanes;
  const __mmask64 mask = ~0ull >> (64 - count);
#pragma GCC unroll 1
  for (i64 r = 0; r < t.count; ++r) {
    const __m512i first = load(words.at[r][0]);
    const __m512i second = Width > 2 ? load(words.at[r][1]) : first;
    u8* out = static_cast<u8*>(g.out) + t.target[r] * g.out_row + column;
    _mm512_mask_storeu_epi8(out, mask, make(first, second, Width > 2));
  }
}

template <int Width, bool Up, class Make>
void finish_bytes(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  finish_rows<Width, Up>(g, sums, row, rows, column, Make(g));
}

template <int Width, bool Up, class Make>
IPTQ_VBMI void finish_looked_up(const Gemm& g, const i32* sums, i64 row, i64 rows,
                                i64 column) {
  finish_rows<Width, Up>(g, sums, row, rows, column, Make(g));
}

// The same for words: make(words in order, result's row, column, mask) has the last word.
template <int Width, bool Up, class Make>
void finish_words(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column,
                  const Make& make) {
  const Targets t(g, sums, row, rows);
  TileWords words;
  requantize<Width, Up>(g, t, column, words);
  const WordLimits limits(g.low, g.high);
#pragma GCC unroll 1
  for (int part = 0; part < Width; part += 2) {
    const i64 at = column + part * kLanes, wide = Width % 2 && part + 1 == Width ? 16 : 32;
    const i64 count = g.n - at < wide ? g.n - at : wide;
    const __mmask32 mask = ~0u >> (32 - count);
#pragma GCC unroll 1
    for (i64 r = 0; r < t.count; ++r) {
      __m512i codes = ordered_words(load(words.at[r][part / 2]));
      codes = make(limits(codes), t.target[r], at, mask);
      i16* out = static_cast<i16*>(g.out) + t.target[r] * g.out_row + at;
      _mm512_mask_storeu_epi16(out, mask, codes);
    }
  }
}

template <int Width, bool Up>
void finish_plain_words(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  finish_words<Width, Up>(g, sums, row, rows, column,
                          [](__m512i codes, i64, i64, __mmask32) { return codes; });
}

// interpolated_gelu with results of 16 bits.
template <int Width, bool Up>
void finish_interpolated_words(const Gemm& g, const i32* sums, i64 row, i64 rows,
                               i64 column) {
  const LineVector line(g.line, INT16_MIN, INT16_MAX);
  const WordLimits limits(g.line.low, g.line.high);
  finish_words<Width, Up>(
      g, sums, row, rows, column,
      [&](__m512i codes, i64, i64, __mmask32) { return limits(line(codes)); });
}

template <int Width, bool Up>
void finish_word_sums(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const WordSum sum(g.sum);
  finish_words<Width, Up>(
      g, sums, row, rows, column, [&](__m512i codes, i64 target, i64 at, __mmask32 mask) {
        return sum(codes, _mm512_maskz_loadu_epi16(mask, residual_of(g, target) + at));
      });
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

// 16 entries of a table, by their places. Looked up are the dwords of which they are a
// part: tables have a multiple of 4 entries.
template <class T>
inline __m512i entries_of(const void* table, __m512i places) {
  constexpr int per = 4 / sizeof(T);
  const __m512i dword = _mm512_srli_epi32(places, per == 2 ? 1 : 2);
  const __m512i part = _mm512_and_si512(places, _mm512_set1_epi32(per - 1));
  const __m512i both = _mm512_i32gather_epi32(dword, table, 4);
  return _mm512_srlv_epi32(both, _mm512_slli_epi32(part, per == 2 ? 4 : 3));
}

// Looks codes up: the table has a byte or a word for each of up to 2**16.
template <int Width, bool Up, class T>
void finish_lookups(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const Limits limits(g.low, g.high);
  const __m512i low = _mm512_set1_epi32(static_cast<i32>(g.low));
  const Targets t(g, sums, row, rows);
  for (int j = 0; j < Width; ++j) {
    const i64 at = column + kLanes * j;
    const __mmask16 mask = first_lanes(g.n - at);
    const ChannelVector channels(g, at);
    for (i64 r = 0; r < t.count; ++r) {
      const __m512i wide = channels.template codes<Up>(load(t.sums[r] + kLanes * j));
      const __m512i places = _mm512_sub_epi32(limits(wide), low);
      store_vector(entries_of<T>(g.table, places), mask, g.out, g.out_type,
                   t.target[r] * g.out_row + at);
    }
  }
}

template <int Width, bool Up>
bool finish_width(const Gemm& g, const i32* sums, i64 row, i64 rows, i64 column) {
  const bool bytes = g.out_type == kU8 && g.low >= 0 && g.high <= 255;
  const bool words = g.out_type == kI16 && g.low >= INT16_MIN && g.high <= INT16_MAX;
  const bool table = g.post == kTable && g.table_type == kU8 && g.out_type == kU8;
  const bool permutes = permutes_bytes.load(std::memory_order_relaxed);
  if (bytes && g.post == kNothing)
    finish_bytes<Width, Up, Clamped>(g, sums, row, rows, column);
  else if (bytes && table && g.low == 0 && permutes)
    finish_looked_up<Width, Up, Tabulated>(g, sums, row, rows, column);
  else if (table && g.line.codes && permutes)
    finish_looked_up<Width, Up, InterpolatedLevels>(g, sums, row, rows, column);
  else if (table && g.line.table && !g.line.codes)
    finish_bytes<Width, Up, Interpolated>(g, sums, row, rows, column);
  else if (table)
    finish_lookups<Width, Up, u8>(g, sums, row, rows, column);
  else if (words && g.post == kTable && g.table_type == kI16 && g.line.table)
    finish_interpolated_words<Width, Up>(g, sums, row, rows, column);
  else if (g.post == kTable && g.table_type == kI16 && g.out_type == kI16)
    finish_lookups<Width, Up, i16>(g, sums, row, rows, column);
  else if (words && g.post == kNothing)
    finish_plain_words<Width, Up>(g, sums, row, rows, column);
  else if (words && g.post == kAdd && WordSum::fits(g.sum))
    finish_word_sums<Width, Up>(g, sums, row, rows, column);
  else if (g.post != kTable)
    finish_vectors<Width, Up>(g, sums, row, rows, column);
  else
    return false;
  return true;
}

// True if the form is one of those above.
inline bool finish_quickly(const Gemm& g, const i32* sums, i64 row, i64 rows,
                           i64 column, i64 width, const PanelConstants&) {
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
