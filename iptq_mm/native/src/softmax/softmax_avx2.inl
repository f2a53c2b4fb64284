// The rows of an attention whose softmax looks exponentials up, 32 keys at a time; those of
// other softmaxes as compilers vectorize them.
#pragma once

#include "isa/vectors_avx2.inl"
#include "softmax/exponentials_avx2.inl"
#include "softmax/softmax_any.inl"

namespace iptq {
namespace {

// Accumulators of rows to scores, with what is added to them; these are no words.
inline Scores score_rows(const Attention& a, i64 group, i64 row, i64 rows, i32* scores,
                         i64 distance) {
  const bool quick = with_form<ScalarVector>(a.score, [&](const auto& scalar) {
    for (i64 r = 0; r < rows; ++r)
      for (i64 i = 0; i < a.keys; i += kVector) {
        i32* at = scores + r * distance + i;
        store(at, scalar(load(at)));
      }
  });
  if (!quick) {
    any_score_rows(a, group, row, rows, scores, distance);
    return kAsNumbers;
  }
  for (i64 s = 0; s < a.additions; ++s) {
    const ScoreAddition& added = a.addition[s];
    const i32* addend = added.addend + added.at[group] + row * added.row;
    for (i64 r = 0; r < rows; ++r)
      add_rows(added.sum, scores + r * distance, addend + r * added.row, a.keys);
  }
  return kAsNumbers;
}

inline i32 largest_of(const i32* scores, i64 keys) {
  i32 largest = scores[0];
  i64 i = 0;
  if (keys >= kVector) {
    __m256i most = load(scores);
    for (i = kVector; i + kVector <= keys; i += kVector)
      most = _mm256_max_epi32(most, load(scores + i));
    i32 lanes[kVector];
    store(lanes, most);
    for (i32 each : lanes) largest = each > largest ? each : largest;
  }
  for (; i < keys; ++i) largest = scores[i] > largest ? scores[i] : largest;
  return largest;
}

// Scores of a row become exponentials; returns their sum. There is room for whole vectors.
inline i64 looked_up(const Softmax& s, const Tables& tables, i32* scores, i64 keys) {
  const __m256i largest = numbers(largest_of(scores, keys)), limit = numbers(s.clamp);
  const __m128i but_one = _mm_cvtsi64_si128(s.down - 1);
  const auto difference = [&](i64 i) {
    const __m256i d = _mm256_sub_epi32(largest, load(scores + i));
    return _mm256_min_epu32(limit, d);
  };
  const auto coarse = [&](__m256i d) {
    if (s.down == 0) return d;
    return _mm256_avg_epu16(_mm256_srl_epi16(d, but_one), _mm256_setzero_si256());
  };
  const auto sixteen = [&](i64 i) {
    const __m256i d = _mm256_packus_epi32(difference(i), difference(i + kVector));
    return coarse(_mm256_permute4x64_epi64(d, 0xD8));
  };
  __m256i total = _mm256_setzero_si256();
  for (i64 i = 0; i < keys; i += 2 * kLanes) {
    __m256i made[4];
    tables(sixteen(i), sixteen(i + kLanes), made);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const i64 at = i + j * kVector;
      if (keys - at < kVector) made[j] = _mm256_and_si256(made[j], first_lanes(keys - at));
      store(scores + at, made[j]);
    }
    // Two are below 2**32.
    for (int j = 0; j < 4; j += 2)
      total = added(total, _mm256_add_epi32(made[j], made[j + 1]));
  }
  return sum_of_lanes(total);
}

// Exponentials to codes of probabilities, by a reciprocal of 32 bits and a shift by 33 to
// 62: of a product of 62 bits, the upper half will do.
template <class T>
void word_codes(const Softmax& s, const i32* e, i64 keys, i64 reciprocal, T* p) {
  const __m256i factor = _mm256_set1_epi64x(reciprocal), most = words(s.high);
  const __m256i half = numbers(i64{1} << (s.quotient_shift - 33));
  const __m256i zero_point = words(s.zero_point);
  const __m128i shift = _mm_cvtsi64_si128(s.quotient_shift - 32);
  const auto rounded = [&](const i32* from) {
    const __m256i x = load(from), odd = _mm256_mul_epu32(odd_lanes(x), factor);
    const __m256i q = high_halves(_mm256_mul_epu32(x, factor), odd);
    return _mm256_srl_epi32(_mm256_add_epi32(q, half), shift);
  };
  for (i64 i = 0; i < keys; i += kLanes) {
    __m256i q = _mm256_packus_epi32(rounded(e + i), rounded(e + i + kVector));
    q = _mm256_min_epu16(_mm256_permute4x64_epi64(q, 0xD8), most);
    if constexpr (sizeof(T) == 4) {
      const __m256i zero = numbers(s.zero_point);
      const __m256i first = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(q));
      const __m256i second = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(q, 1));
      store(p + i, _mm256_add_epi32(first, zero));
      store(p + i + kVector, _mm256_add_epi32(second, zero));
    } else if constexpr (sizeof(T) == 2) {
      store(p + i, _mm256_add_epi16(q, zero_point));
    } else {  // the lower bytes of words, whatever these are
      const __m256i code = _mm256_and_si256(_mm256_add_epi16(q, zero_point), words(0xFF));
      store_bytes(code, kLanes, p + i);
    }
  }
}

// Scores become probabilities' codes.
template <class T>
void quotients(const Softmax& s, const Tables& tables, i32* scores, i64 distance, i64 rows,
               i64 keys, Scores, T* p, i64 p_row) {
  if (s.form != kTables || !s.fine || s.table || s.clamp > UINT16_MAX)
    return any_quotients(s, scores, distance, rows, keys, p, p_row);
  const bool words = s.quotient_shift > 32 && s.quotient_shift < 63 && s.high <= UINT16_MAX;
  for (i64 r = 0; r < rows; ++r, scores += distance, p += p_row) {
    const i64 total = looked_up(s, tables, scores, keys);
    const i64 reciprocal = ((total >> 1) + s.one) / total;
    if (words && reciprocal >> 32 == 0) word_codes(s, scores, keys, reciprocal, p);
    else probabilities(s, scores, keys, total, p);
  }
}

// Sums of rows to results, those `out_row` apart.
inline void store_results(const Requantization& r, i64 size, const i32* sums, i64 distance,
                          i64 rows, void* out, i64 type, i64 at, i64 out_row) {
  const bool bytes = type == kU8 && r.low >= 0 && r.high <= 255;
  const bool words = type == kI16 && WordLimits::hold(r.low, r.high);
  const bool done = (bytes || words) && with_form<ScalarVector>(r, [&](const auto& scalar) {
    for (i64 row = 0; row < rows; ++row)
      for (i64 c = 0; c < size; c += kLanes) {
        const i32* from = sums + row * distance + c;
        const __m256i codes = joined(scalar(load(from)), scalar(load(from + kVector)));
        const i64 to = at + row * out_row + c;
        if (bytes) store_bytes(codes, size - c, static_cast<u8*>(out) + to);
        else store_words(codes, size - c, static_cast<i16*>(out) + to);
      }
  });
  if (!done) any_store_results(r, size, sums, distance, rows, out, type, at, out_row);
}

}  // namespace
}  // namespace iptq
