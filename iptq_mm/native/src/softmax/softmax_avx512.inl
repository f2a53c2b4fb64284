// The rows of an attention, 32 keys at a time.
#pragma once

#include "softmax/exponentials_avx512.inl"
#include "softmax/quotients_avx512.inl"
#include "softmax/scores_avx512.inl"

namespace iptq {
namespace {

// How far scores lie below the largest, limited and coarsened.
template <bool Coarse>
struct Differences {
  __m512i largest, limit, but_one;

  Differences(const Softmax& s, i32 largest)
      : largest(_mm512_set1_epi32(largest)),
        limit(_mm512_set1_epi32(static_cast<i32>(s.clamp))),
        but_one(_mm512_set1_epi32(static_cast<i32>(s.down - 1))) {}

  __m512i operator()(__m512i scores) const {
    __m512i d = _mm512_min_epu32(limit, _mm512_sub_epi32(largest, scores));
    if (!Coarse) return d;
    d = _mm512_add_epi32(_mm512_srav_epi32(d, but_one), _mm512_set1_epi32(1));
    return _mm512_srai_epi32(d, 1);
  }
};

// The same of words, all of them unsigned.
template <bool Coarse>
struct WordDifferences {
  __m512i largest, limit, but_one, hidden;

  WordDifferences(const Softmax& s, __m512i largest)
      : largest(largest),
        limit(words(s.clamp < UINT16_MAX ? s.clamp : UINT16_MAX)),
        but_one(words(s.down - 1)),
        hidden(words(INT16_MIN)) {}

  __m512i operator()(__m512i scores) const {
    return coarse(_mm512_min_epu16(limit, _mm512_sub_epi16(largest, scores)));
  }

  // The same of scores that may be hidden.
  __m512i of_hidden(__m512i scores) const {
    const __mmask32 among = _mm512_cmpneq_epi16_mask(scores, hidden);
    const __m512i d = _mm512_mask_sub_epi16(limit, among, largest, scores);
    return coarse(_mm512_min_epu16(limit, d));
  }

 private:
  __m512i coarse(__m512i d) const {
    if (!Coarse) return d;
    return _mm512_avg_epu16(_mm512_srlv_epi16(d, but_one), _mm512_setzero_si512());
  }
};

// Unsigned numbers of 32 bits, summed up in 64: pairs of them as they lie, and again their
// upper halves, which do not belong there.
struct Total {
  __m512i pairs = _mm512_setzero_si512(), upper = _mm512_setzero_si512();

  void add(__m512i x) {
    pairs = _mm512_add_epi64(pairs, x);
    upper = _mm512_add_epi64(upper, odd_lanes(x));
  }

  i64 value() const {
    const __m512i lower = _mm512_sub_epi64(pairs, _mm512_slli_epi64(upper, 32));
    return _mm512_reduce_add_epi64(_mm512_add_epi64(lower, upper));
  }
};

// The tables of a task, each a permutation of words.
struct Tables {
  __m512i fine, medium;
  WordsTable mantissa, exponent;
  bool few;  // whether the first half of the last two will do: differences are limited

  explicit Tables(const Softmax& s) : few(s.clamp < 32 << 10) {
    if (!s.fine) return;
    fine = load(s.fine);
    medium = load(s.medium);
    mantissa = WordsTable(s.mantissa);
    exponent = WordsTable(s.exponent);
  }
};

// Products of tables' entries, of 32 differences from lane i on; those that are not among
// the keys are 0. They are below 2**31. Differences are words that alternate by 128 bits:
// interleaving undoes that.
template <bool Whole, bool Few>
inline __m512i look_up(const Tables& tables, __m512i d, i64 keys, i64 i, i32* e) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i block = _mm512_srli_epi16(d, 10);
  const __m512i fine = _mm512_permutexvar_epi16(d, tables.fine);
  const __m512i medium =
      _mm512_permutexvar_epi16(_mm512_srli_epi16(d, 5), tables.medium);
  const __m512i within = _mm512_mulhi_epu16(fine, medium);
  const auto of_block = [&](const WordsTable& table) {
    return Few ? _mm512_permutexvar_epi16(block, table.low) : table(block);
  };
  const __m512i mantissa = of_block(tables.mantissa), shift = of_block(tables.exponent);
  const __m512i low = _mm512_mullo_epi16(within, mantissa);
  const __m512i high = _mm512_mulhi_epu16(within, mantissa);
  __m512i first = _mm512_srlv_epi32(_mm512_unpacklo_epi16(low, high),
                                    _mm512_unpacklo_epi16(shift, zero));
  __m512i second = _mm512_srlv_epi32(_mm512_unpackhi_epi16(low, high),
                                     _mm512_unpackhi_epi16(shift, zero));
  if (!Whole) {
    first = _mm512_maskz_mov_epi32(first_lanes(keys - i), first);
    second = _mm512_maskz_mov_epi32(first_lanes(keys - i - kLanes), second);
  }
  _mm512_storeu_si512(e + i, first);
  _mm512_storeu_si512(e + i + kLanes, second);
  return _mm512_add_epi32(first, second);
}

// Those of a row, and their sum. From the end on, so that words in the first half of the
// row are read before what comes in their place.
template <bool Few, class Differences>
i64 looked_up(const Tables& tables, const Differences& differences, i32* e, i64 keys) {
  Total total;
  i64 i = keys / (2 * kLanes) * 2 * kLanes;
  if (i < keys) total.add(look_up<false, Few>(tables, differences(i), keys, i, e));
  for (i -= 2 * kLanes; i >= 0; i -= 2 * kLanes)
    total.add(look_up<true, Few>(tables, differences(i), keys, i, e));
  return total.value();
}

template <class Differences>
i64 looked_up(const Tables& tables, const Differences& differences, i32* e, i64 keys) {
  return tables.few ? looked_up<true>(tables, differences, e, keys)
                    : looked_up<false>(tables, differences, e, keys);
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
                     Scores form) {
  if (form != kAsNumbers) {
    const i16* from = reinterpret_cast<const i16*>(scores);
    const WordDifferences<Coarse> differences(s, largest_of(from, keys));
    if (form == kAsHiddenWords)
      return looked_up(
          tables, [&](i64 i) { return differences.of_hidden(load(from + i)); }, scores,
          keys);
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

// Step by step for all rows: those of one row wait for each other.
template <class T>
void quotients(const Softmax& s, const Tables& tables, i32* scores, i64 distance,
               i64 rows, i64 keys, Scores form, T* p, i64 p_row) {
  i64 reciprocal[kTileRows];
  for (i64 r = 0; r < rows; ++r) {
    i32* row = scores + r * distance;
    reciprocal[r] = s.down > 0 ? row_exponentials<true>(s, tables, row, keys, form)
                               : row_exponentials<false>(s, tables, row, keys, form);
  }
  bool few = WordQuotients::suits(s);
  for (i64 r = 0; r < rows; ++r) {
    reciprocal[r] = ((reciprocal[r] >> 1) + s.one) / reciprocal[r];
    few = few && reciprocal[r] >> 32 == 0;
  }
  const auto finish = few ? word_codes<T>
                      : s.quotient_shift >= 32 ? any_codes<true, T>
                                               : any_codes<false, T>;
  for (i64 r = 0; r < rows; ++r)
    finish(s, scores + r * distance, keys, reciprocal[r], p + r * p_row, p_row);
}

// Sums of rows to results, those `out_row` apart.
inline void store_results(const Requantization& r, i64 size, const i32* sums,
                          i64 distance, i64 rows, void* out, i64 type, i64 at,
                          i64 out_row) {
  with_scalar<false>(r, [&](const auto& requantized) {
    for (i64 row = 0; row < rows; ++row, sums += distance, at += out_row)
      for (i64 c = 0; c < size; c += kLanes)
        store_vector(requantized(load(sums + c)), first_lanes(size - c), out, type,
                     at + c);
  });
}

}  // namespace
}  // namespace iptq
