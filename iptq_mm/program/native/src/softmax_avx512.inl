// The rows of an attention, 32 keys at a time.
#pragma once

#include "exponentials_avx512.inl"
#include "vectors_avx512.inl"

namespace iptq {
namespace {

// Accumulators of rows to scores, with what is added to them: biases, masks.
inline void score_rows(const Attention& a, i64 group, i64 row, i64 rows, i32* scores,
                       i64 distance) {
  const auto addends = [&](i64 stage, i64 r, i64 i) {
    const Stage& s = a.stage[stage];
    const i32* addend = s.addend + s.at[group] + (row + r) * s.row;
    return _mm512_maskz_loadu_epi32(first_lanes(a.keys - i), addend + i);
  };
  const auto each = [&](const auto& make) {
    with_scalar(a.score, [&](const auto& requantized) {
      for (i64 r = 0; r < rows; ++r) {
        i32* to = scores + r * distance;
        for (i64 i = 0; i < a.keys; i += kLanes)
          _mm512_storeu_si512(to + i, make(requantized(load(to + i)), r, i));
      }
    });
  };
  if (a.stages == 0) return each([](__m512i x, i64, i64) { return x; });
  with_sum(a.stage[0].sum, [&](const auto& first) {
    if (a.stages == 1)
      return each([&](__m512i x, i64 r, i64 i) { return first(x, addends(0, r, i)); });
    with_sum(a.stage[1].sum, [&](const auto& second) {
      each([&](__m512i x, i64 r, i64 i) {
        return second(first(x, addends(0, r, i)), addends(1, r, i));
      });
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
template <bool Coarse>
struct Differences {
  __m512i largest, limit;
  __m128i but_one;

  Differences(const Softmax& s, i32 largest)
      : largest(_mm512_set1_epi32(largest)),
        limit(_mm512_set1_epi32(static_cast<i32>(s.clamp))),
        but_one(_mm_cvtsi64_si128(s.down - 1)) {}

  __m512i operator()(__m512i scores) const {
    __m512i d = _mm512_min_epi32(limit, _mm512_sub_epi32(largest, scores));
    if (!Coarse) return d;
    d = _mm512_add_epi32(_mm512_sra_epi32(d, but_one), _mm512_set1_epi32(1));
    return _mm512_srai_epi32(d, 1);
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

// Products of tables' entries, of 32 differences at a time, in place; their sum.
template <bool Coarse>
i64 looked_up(const Tables& tables, const Differences<Coarse>& differences, i32* scores,
              i64 keys) {
  const __m512i zero = _mm512_setzero_si512();
  Total total;
  for (i64 i = 0; i < keys; i += 2 * kLanes) {
    // Words alternate by 128 bits: interleaving them undoes that.
    const __m512i d = _mm512_packus_epi32(differences(load(scores + i)),
                                          differences(load(scores + i + kLanes)));
    const __m512i block = _mm512_srli_epi16(d, 10);
    const __m512i fine = _mm512_permutexvar_epi16(d, tables.fine);
    const __m512i medium =
        _mm512_permutexvar_epi16(_mm512_srli_epi16(d, 5), tables.medium);
    const __m512i within = _mm512_mulhi_epu16(fine, medium);
    const __m512i mantissa = tables.mantissa(block), shift = tables.exponent(block);
    const __m512i low = _mm512_mullo_epi16(within, mantissa);
    const __m512i high = _mm512_mulhi_epu16(within, mantissa);
    const i64 rest = keys - i - kLanes;
    const __m512i first = _mm512_maskz_srlv_epi32(
        first_lanes(keys - i), _mm512_unpacklo_epi16(low, high),
        _mm512_unpacklo_epi16(shift, zero));
    const __m512i second = _mm512_maskz_srlv_epi32(
        first_lanes(rest < 0 ? 0 : rest), _mm512_unpackhi_epi16(low, high),
        _mm512_unpackhi_epi16(shift, zero));
    total.add(first);
    total.add(second);
    _mm512_storeu_si512(scores + i, first);
    _mm512_storeu_si512(scores + i + kLanes, second);
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
i64 row_exponentials(const Softmax& s, const Tables& tables, i32* scores, i64 keys) {
  const Differences<Coarse> differences(s, largest_of(scores, keys));
  switch (s.form) {
    case kQuadratic: return exponentials(Quadratic(s), differences, scores, keys);
    case kChord: return exponentials(Chord(s), differences, scores, keys);
    case kTangent: return exponentials(Tangent(s), differences, scores, keys);
    default:
      if (s.fine) return looked_up(tables, differences, scores, keys);
      return exponentials(Looked{s.table}, differences, scores, keys);
  }
}

// Exponentials to probabilities' codes. Short: the reciprocal has at most 32 bits.
template <bool Quick, bool Short, class T>
void probabilities(const Softmax& s, const i32* e, i64 keys, i64 reciprocal, T* p) {
  const __m512i factor = _mm512_set1_epi64(reciprocal);
  const __m512i half = _mm512_set1_epi64(i64{1} << (s.quotient_shift - 1));
  const __m512i low = _mm512_set1_epi64(0xFFFFFFFF);
  const Narrowing<Quick> shifted(s.quotient_shift, true);
  const __m512i most = _mm512_set1_epi32(static_cast<i32>(s.high));
  const __m512i base = _mm512_set1_epi32(static_cast<i32>(s.base));
  const auto scaled = [&](__m512i x) {
    const __m512i product = Short ? _mm512_mul_epu32(x, factor)
                                  : _mm512_mullo_epi64(_mm512_and_si512(x, low), factor);
    return _mm512_add_epi64(product, half);
  };
  for (i64 i = 0; i < keys; i += kLanes) {
    const __m512i x = load(e + i);
    __m512i q = shifted(scaled(x), scaled(odd_lanes(x)));
    q = _mm512_sub_epi32(_mm512_min_epu32(q, most), base);
    if (sizeof(T) == 1)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(p + i), _mm512_cvtepi32_epi8(q));
    else if (sizeof(T) == 2)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + i), _mm512_cvtepi32_epi16(q));
    else
      _mm512_storeu_si512(p + i, q);
  }
}

// Step by step for all rows: those of one row wait for each other.
template <class T>
void quotients(const Softmax& s, const Tables& tables, i32* scores, i64 distance,
               i64 rows, i64 keys, T* p, i64 p_row) {
  i64 reciprocal[kTileRows];
  for (i64 r = 0; r < rows; ++r) {
    i32* row = scores + r * distance;
    reciprocal[r] = s.down > 0 ? row_exponentials<true>(s, tables, row, keys)
                               : row_exponentials<false>(s, tables, row, keys);
  }
  bool few = true;
  for (i64 r = 0; r < rows; ++r) {
    reciprocal[r] = ((reciprocal[r] >> 1) + s.one) / reciprocal[r];
    few = few && reciprocal[r] >> 32 == 0;
  }
  const auto finish = s.quotient_shift < 32
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
