// The rows of an attention, 32 keys at a time.
#pragma once

#include "softmax/exponentials_avx512.inl"
#include "softmax/scores_avx512.inl"

namespace iptq {
namespace {

// How far scores lie below the largest, limited and coarsened.
template <bool Coarse>
struct Differences {
  __m512i largest, limit;
  __m128i but_one;

  Differences(const Softmax& s, i32 largest)
      : largest(_mm512_set1_epi32(largest)),
        limit(_mm512_set1_epi32(static_cast<i32>(s.clamp))),
        but_one(_mm_cvtsi64_si128(s.down - 1)) {}

  __m512i operator()(__m512i scores) const {
    __m512i d = _mm512_min_epu32(limit, _mm512_sub_epi32(largest, scores));
    if (!Coarse) return d;
    d = _mm512_add_epi32(_mm512_sra_epi32(d, but_one), _mm512_set1_epi32(1));
    return _mm512_srai_epi32(d, 1);
  }
};

// The same of words, all of them unsigned.
template <bool Coarse>
struct WordDifferences {
  __m512i largest, limit;
  __m128i but_one;

  WordDifferences(const Softmax& s, i32 largest)
      : largest(words(largest)),
        limit(words(s.clamp < UINT16_MAX ? s.clamp : UINT16_MAX)),
        but_one(_mm_cvtsi64_si128(s.down - 1)) {}

  __m512i operator()(__m512i scores) const {
    const __m512i d = _mm512_min_epu16(limit, _mm512_sub_epi16(largest, scores));
    if (!Coarse) return d;
    return _mm512_avg_epu16(_mm512_srl_epi16(d, but_one), _mm512_setzero_si512());
  }
};

// Unsigned numbers of 32 bits, summed up in 64.
struct Total {
  __m512i sum = _mm512_setzero_si512();

  void add(__m512i x) {
    const __m512i low = _mm512_set1_epi64(0xFFFFFFFF);
    sum = _mm512_add_epi64(sum, _mm512_and_si512(x, low));
    sum = _mm512_add_epi64(sum, odd_lanes(x));
  }

  i64 value() const { return _mm512_reduce_add_epi64(sum); }
};

// The tables of a task, each a permutation of words.
struct Tables {
  __m512i fine, medium;
  WordsTable mantissa, exponent;

  explicit Tables(const Softmax& s) {
    if (!s.fine) return;
    fine = load(s.fine);
    medium = load(s.medium);
    mantissa = WordsTable(s.mantissa);
    exponent = WordsTable(s.exponent);
  }
};

// Products of tables' entries, of 32 differences at a time; their sum. They are below
// 2**31. Differences are words that alternate by 128 bits: interleaving undoes that.
// From the end on, so that words in the first half of the row are read before what
// comes in their place.
template <class Differences>
i64 looked_up(const Tables& tables, const Differences& differences, i32* e, i64 keys) {
  const __m512i zero = _mm512_setzero_si512();
  Total total;
  for (i64 i = (keys - 1) / (2 * kLanes) * 2 * kLanes; i >= 0; i -= 2 * kLanes) {
    const __m512i d = differences(i);
    const __m512i block = _mm512_srli_epi16(d, 10);
    const __m512i fine = _mm512_permutexvar_epi16(d, tables.fine);
    const __m512i medium =
        _mm512_permutexvar_epi16(_mm512_srli_epi16(d, 5), tables.medium);
    const __m512i within = _mm512_mulhi_epu16(fine, medium);
    const __m512i mantissa = tables.mantissa(block), shift = tables.exponent(block);
    const __m512i low = _mm512_mullo_epi16(within, mantissa);
    const __m512i high = _mm512_mulhi_epu16(within, mantissa);
    const __m512i first = _mm512_maskz_srlv_epi32(
        first_lanes(keys - i), _mm512_unpacklo_epi16(low, high),
        _mm512_unpacklo_epi16(shift, zero));
    const __m512i second = _mm512_maskz_srlv_epi32(
        first_lanes(keys - i - kLanes), _mm512_unpackhi_epi16(low, high),
        _mm512_unpackhi_epi16(shift, zero));
    total.add(_mm512_add_epi32(first, second));
    _mm512_storeu_si512(e + i, first);
    _mm512_storeu_si512(e + i + kLanes, second);
  }
  return total.value();
}

// Any exponential of a vector of differences; the same.
template <class Exponential, bool Coarse>
i64 exponentials(const Exponential& exponential, const Differences<Coarse>& differences,
                 i32* scores, i64 keys) {
  Total total;
  for (i64 i = 0; i < keys; i += kLanes) {
    const __mmask16 mask = first_lanes(keys - i);
    const __m512i d = _mm512_maskz_mov_epi32(mask, differences(load(scores + i)));
    const __m512i x = _mm512_maskz_mov_epi32(mask, exponential(d));
    total.add(x);
    _mm512_storeu_si512(scores + i, x);
  }
  return total.value();
}

template <bool Coarse>
i64 row_exponentials(const Softmax& s, const Tables& tables, i32* scores, i64 keys,
                     bool words) {
  if (words) {
    const i16* from = reinterpret_cast<const i16*>(scores);
    const WordDifferences<Coarse> differences(s, largest_of(from, keys));
    return looked_up(
        tables, [&](i64 i) { return differences(load(from + i)); }, scores, keys);
  }
  const Differences<Coarse> differences(s, largest_of(scores, keys));
  switch (s.form) {
    case kQuadratic: return exponentials(Quadratic(s), differences, scores, keys);
    case kChord: return exponentials(Chord(s), differences, scores, keys);
    case kTangent: return exponentials(Tangent(s), differences, scores, keys);
    default:
      if (!s.fine) return exponentials(Looked{s.table}, differences, scores, keys);
      return looked_up(
          tables,
          [&](i64 i) {
            return _mm512_packus_epi32(differences(load(scores + i)),
                                       differences(load(scores + i + kLanes)));
          },
          scores, keys);
  }
}

// Exponentials to probabilities' codes. High: a product's upper half will do. Short: the
// reciprocal has at most 32 bits.
template <bool High, bool Short, class T>
void probabilities(const Softmax& s, const i32* e, i64 keys, i64 reciprocal, T* p) {
  const __m512i factor = _mm512_set1_epi64(reciprocal);
  const __m512i half = _mm512_set1_epi64(i64{1} << (s.quotient_shift - 1));
  const __m512i low = _mm512_set1_epi64(0xFFFFFFFF);
  const Narrowing<!High> shifted(s.quotient_shift, true);
  const __m128i above = _mm_cvtsi64_si128(s.quotient_shift - 32);
  const __m512i most = _mm512_set1_epi32(static_cast<i32>(s.high));
  const __m512i zero_point = _mm512_set1_epi32(static_cast<i32>(s.zero_point));
  const auto scaled = [&](__m512i x) {
    const __m512i product = Short ? _mm512_mul_epu32(x, factor)
                                  : _mm512_mullo_epi64(_mm512_and_si512(x, low), factor);
    return _mm512_add_epi64(product, half);
  };
  const auto codes = [&](i64 i) {
    const __m512i x = load(e + i);
    const __m512i even = scaled(x), odd = scaled(odd_lanes(x));
    const __m512i q = High ? _mm512_sra_epi32(high_halves(even, odd), above)
                           : shifted(even, odd);
    return _mm512_add_epi32(_mm512_min_epu32(q, most), zero_point);
  };
  for (i64 i = 0; i < keys; i += 2 * kLanes) {
    const __m512i first = codes(i), second = codes(i + kLanes);
    if (sizeof(T) == 4) {
      _mm512_storeu_si512(p + i, first);
      _mm512_storeu_si512(p + i + kLanes, second);
      continue;
    }
    const __m512i words = ordered_words(_mm512_packs_epi32(first, second));
    if (sizeof(T) == 2)
      _mm512_storeu_si512(p + i, words);
    else
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + i), _mm512_cvtepi16_epi8(words));
  }
}

// Step by step for all rows: those of one row wait for each other.
template <class T>
void quotients(const Softmax& s, const Tables& tables, i32* scores, i64 distance,
               i64 rows, i64 keys, bool words, T* p, i64 p_row) {
  i64 reciprocal[kTileRows];
  for (i64 r = 0; r < rows; ++r) {
    i32* row = scores + r * distance;
    reciprocal[r] = s.down > 0 ? row_exponentials<true>(s, tables, row, keys, words)
                               : row_exponentials<false>(s, tables, row, keys, words);
  }
  bool few = true;
  for (i64 r = 0; r < rows; ++r) {
    reciprocal[r] = ((reciprocal[r] >> 1) + s.one) / reciprocal[r];
    few = few && reciprocal[r] >> 32 == 0;
  }
  const auto finish = s.quotient_shift >= 32
                          ? few ? probabilities<true, true, T> : probabilities<true, false, T>
                          : few ? probabilities<false, true, T> : probabilities<false, false, T>;
  for (i64 r = 0; r < rows; ++r)
    finish(s, scores + r * distance, keys, reciprocal[r], p + r * p_row);
}

// Sums of rows to results, those `out_row` apart.
inline void store_results(const Requantization& r, i64 size, const i32* sums,
                          i64 distance, i64 rows, void* out, i64 type, i64 at,
                          i64 out_row) {
  with_scalar(r, [&](const auto& requantized) {
    for (i64 row = 0; row < rows; ++row, sums += distance, at += out_row)
      for (i64 c = 0; c < size; c += kLanes)
        store_vector(requantized(load(sums + c)), first_lanes(size - c), out, type,
                     at + c);
  });
}

}  // namespace
}  // namespace iptq
