// The rows of an attention, 32 keys at a time.
#pragma once

#include "exponentials_avx512.inl"
#include "vectors_avx512.inl"

namespace iptq {
namespace {

// A number of 32 bits for each key: of a bias or a mask.
inline const i32* addends(const Attention& a, i64 stage, i64 group, i64 row) {
  const Stage& s = a.stage[stage];
  return s.addend + s.at[group] + row * s.row;
}

// Accumulators of a row to scores, with what is added to them.
inline void score_row(const Attention& a, i64 group, i64 row, i32* scores) {
  const auto each = [&](const auto& make) {
    with_scalar(a.score, [&](const auto& requantized) {
      for (i64 i = 0; i < a.keys; i += kLanes)
        _mm512_storeu_si512(scores + i, make(requantized(load(scores + i)), i));
    });
  };
  const auto rest = [&](const i32* addend, i64 i) {
    return _mm512_maskz_loadu_epi32(first_lanes(a.keys - i), addend + i);
  };
  if (a.stages == 0) return each([](__m512i x, i64) { return x; });
  const i32* one = addends(a, 0, group, row);
  with_sum(a.stage[0].sum, [&](const auto& first) {
    if (a.stages == 1) {
      each([&](__m512i x, i64 i) { return first(x, rest(one, i)); });
      return;
    }
    const i32* two = addends(a, 1, group, row);
    with_sum(a.stage[1].sum, [&](const auto& second) {
      each([&](__m512i x, i64 i) { return second(first(x, rest(one, i)), rest(two, i)); });
    });
  });
}

inline i32 largest_of(const i32* scores, i64 count) {
  __m512i largest = _mm512_set1_epi32(INT32_MIN);
  for (i64 i = 0; i < count; i += kLanes)
    largest = _mm512_mask_max_epi32(largest, first_lanes(count - i), largest,
                                    load(scores + i));
  return _mm512_reduce_max_epi32(largest);
}

// How far scores lie below the largest, limited and coarsened.
struct Differences {
  __m512i largest, limit;
  __m128i but_one;
  bool coarse;

  Differences(const Softmax& s, i32 largest)
      : largest(_mm512_set1_epi32(largest)),
        limit(_mm512_set1_epi32(static_cast<i32>(s.clamp))),
        but_one(_mm_cvtsi64_si128(s.down - 1)),
        coarse(s.down > 0) {}

  __m512i operator()(__m512i scores) const {
    __m512i d = _mm512_min_epi32(limit, _mm512_sub_epi32(largest, scores));
    if (!coarse) return d;
    d = _mm512_add_epi32(_mm512_sra_epi32(d, but_one), _mm512_set1_epi32(1));
    return _mm512_srai_epi32(d, 1);
  }
};

// 256 words as a function of the low byte of a word.
struct WordTable {
  __m512i part[8];

  WordTable() = default;

  // Bits 0..15 or 16..31 of the entries.
  WordTable(const i32* table, int bits) {
    const __m128i shift = _mm_cvtsi32_si128(bits);
    for (int i = 0; i < 8; ++i) {
      __m256i low = _mm512_cvtepi32_epi16(_mm512_srl_epi32(load(table + 32 * i), shift));
      __m256i high =
          _mm512_cvtepi32_epi16(_mm512_srl_epi32(load(table + 32 * i + 16), shift));
      part[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
  }

  __m512i operator()(__m512i index, __mmask32 bit6, __mmask32 bit7) const {
    __m512i quarter[4];
    for (int i = 0; i < 4; ++i)
      quarter[i] = _mm512_permutex2var_epi16(part[2 * i], index, part[2 * i + 1]);
    __m512i low = _mm512_mask_blend_epi16(bit6, quarter[0], quarter[1]);
    __m512i high = _mm512_mask_blend_epi16(bit6, quarter[2], quarter[3]);
    return _mm512_mask_blend_epi16(bit7, low, high);
  }
};

// Those of a task.
struct Tables {
  WordTable low, high, top;

  explicit Tables(const Softmax& s) {
    if (!s.table_high) return;
    low = WordTable(s.table, 0);
    high = WordTable(s.table_high, 0);
    top = WordTable(s.table_high, 16);
  }
};

// Stores e of 16 keys (even ones first) and adds them up.
inline void keep_exponentials(__m512i even, __m512i odd, __mmask16 mask, i64* e,
                              __m512i& total) {
  const __mmask8 evens = static_cast<__mmask8>(_pext_u32(mask, 0x5555));
  const __mmask8 odds = static_cast<__mmask8>(_pext_u32(mask, 0xAAAA));
  _mm512_storeu_si512(e, even);
  _mm512_storeu_si512(e + 8, odd);
  total = _mm512_mask_add_epi64(total, evens, total, even);
  total = _mm512_mask_add_epi64(total, odds, total, odd);
}

// The product of two tables; entries of the high one have up to 19 bits.
inline i64 product_exponentials(const Tables& tables, const Differences& differences,
                                const i32* scores, i64 keys, i64* e) {
  const WordTable &low = tables.low, &high = tables.high, &top = tables.top;
  const __m512i byte = _mm512_set1_epi16(255), zero = _mm512_setzero_si512();
  __m512i total = zero;
  for (i64 i = 0; i < keys; i += 2 * kLanes) {
    const __m512i d0 = differences(load(scores + i));
    const __m512i d1 = differences(load(scores + i + kLanes));
    const __m512i d = _mm512_packus_epi32(d0, d1);
    const __m512i coarse = _mm512_srli_epi16(d, 8), fine = _mm512_and_si512(d, byte);
    const __mmask32 d6 = _mm512_test_epi16_mask(d, _mm512_set1_epi16(64));
    const __mmask32 d7 = _mm512_test_epi16_mask(d, _mm512_set1_epi16(128));
    const __mmask32 d14 = _mm512_test_epi16_mask(d, _mm512_set1_epi16(64 << 8));
    const __mmask32 d15 = _mm512_movepi16_mask(d);
    const __m512i f = low(fine, d6, d7), g = high(coarse, d14, d15);
    const __m512i h = top(coarse, d14, d15);
    const __m512i f0 = _mm512_unpacklo_epi16(f, zero), g0 = _mm512_unpacklo_epi16(g, h);
    const __m512i f1 = _mm512_unpackhi_epi16(f, zero), g1 = _mm512_unpackhi_epi16(g, h);
    keep_exponentials(_mm512_mul_epu32(f0, g0),
                      _mm512_mul_epu32(odd_lanes(f0), odd_lanes(g0)),
                      first_lanes(keys - i), e + i, total);
    const i64 rest = keys - i - kLanes;
    keep_exponentials(_mm512_mul_epu32(f1, g1),
                      _mm512_mul_epu32(odd_lanes(f1), odd_lanes(g1)),
                      first_lanes(rest < 0 ? 0 : rest), e + i + kLanes, total);
  }
  return _mm512_reduce_add_epi64(total);
}

// Any exponential of 32 bits.
template <class Exponential>
i64 exponentials(const Exponential& exponential, const Differences& differences,
                 const i32* scores, i64 keys, i64* e) {
  __m512i total = _mm512_setzero_si512();
  for (i64 i = 0; i < keys; i += kLanes) {
    const __mmask16 mask = first_lanes(keys - i);
    const __m512i d = _mm512_maskz_mov_epi32(mask, differences(load(scores + i)));
    const __m512i x = exponential(d), low = _mm512_set1_epi64(0xFFFFFFFF);
    keep_exponentials(_mm512_and_si512(x, low), odd_lanes(x), mask, e + i, total);
  }
  return _mm512_reduce_add_epi64(total);
}

// Exponentials to probabilities' codes.
template <bool Quick, class T>
void probabilities(const Softmax& s, const i64* e, i64 keys, i64 total, T* p) {
  const __m512i reciprocal = _mm512_set1_epi64(((total >> 1) + s.one) / total);
  const __m512i half = _mm512_set1_epi64(i64{1} << (s.quotient_shift - 1));
  const Narrowing<Quick> shifted(s.quotient_shift, true);
  const __m512i most = _mm512_set1_epi32(static_cast<i32>(s.high));
  const __m512i base = _mm512_set1_epi32(static_cast<i32>(s.base));
  for (i64 i = 0; i < keys; i += kLanes) {
    __m512i even = _mm512_mullo_epi64(load(e + i), reciprocal);
    __m512i odd = _mm512_mullo_epi64(load(e + i + 8), reciprocal);
    __m512i q = shifted(_mm512_add_epi64(even, half), _mm512_add_epi64(odd, half));
    q = _mm512_sub_epi32(_mm512_min_epu32(q, most), base);
    if (sizeof(T) == 1)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(p + i), _mm512_cvtepi32_epi8(q));
    else if (sizeof(T) == 2)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + i), _mm512_cvtepi32_epi16(q));
    else
      _mm512_storeu_si512(p + i, q);
  }
}

inline i64 row_exponentials(const Softmax& s, const Tables& tables, const i32* scores,
                            i64 keys, i64* e) {
  const Differences differences(s, largest_of(scores, keys));
  switch (s.form) {
    case kQuadratic: return exponentials(Quadratic(s), differences, scores, keys, e);
    case kChord: return exponentials(Chord(s), differences, scores, keys, e);
    case kTangent: return exponentials(Tangent(s), differences, scores, keys, e);
    default:
      if (s.table_high)
        return product_exponentials(tables, differences, scores, keys, e);
      return exponentials(Looked{s.table}, differences, scores, keys, e);
  }
}

template <class T>
void quotients(const Softmax& s, const Tables& tables, i32* scores, i64 keys, i64* e,
               T* p) {
  const i64 total = row_exponentials(s, tables, scores, keys, e);
  if (s.quotient_shift < 32) probabilities<true>(s, e, keys, total, p);
  else probabilities<false>(s, e, keys, total, p);
}

// Sums of a row to results.
inline void store_result(const Requantization& r, i64 size, void* out, i64 type,
                         const i32* sums, i64 at) {
  with_scalar(r, [&](const auto& requantized) {
    for (i64 c = 0; c < size; c += kLanes)
      store_vector(requantized(load(sums + c)), first_lanes(size - c), out, type, at + c);
  });
}

}  // namespace
}  // namespace iptq
