// Vectors of 16 results: requantization, limits, tables, stores.
#pragma once

#include <immintrin.h>

#include "isa/kernels.h"

namespace iptq {
namespace {

static_assert(sizeof(__m512i) <= kSlack, "vectors read beyond the ends of buffers");

inline __m512i load(const void* from) { return _mm512_loadu_si512(from); }

inline __m512i odd_lanes(__m512i x) { return _mm512_srli_epi64(x, 32); }

// High halves of 16 products: the even columns' moved down, the odd ones' stay.
inline __m512i high_halves(__m512i even, __m512i odd) {
  return _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
}

// Constants of 16 channels for the quick form, (4) in epilogue/epilogue.inl.
struct ChannelVector {
  __m512i even_multiplier, odd_multiplier, even_offset, odd_offset, shift, up;

  ChannelVector() = default;

  ChannelVector(const Gemm& g, i64 at)
      : even_multiplier(load(g.multiplier + at)),
        odd_multiplier(load(g.multiplier + at + 8)),
        even_offset(load(g.offset + at)),
        odd_offset(load(g.offset + at + 8)),
        shift(load(g.shift + at)),
        up(g.up ? load(g.up + at) : _mm512_setzero_si512()) {}

  template <bool Up>
  __m512i codes(__m512i sum) const {
    if constexpr (Up) sum = _mm512_sllv_epi32(sum, up);
    __m512i even = _mm512_mul_epi32(sum, even_multiplier);
    __m512i odd = _mm512_mul_epi32(odd_lanes(sum), odd_multiplier);
    even = _mm512_add_epi64(even, even_offset);
    odd = _mm512_add_epi64(odd, odd_offset);
    return _mm512_srav_epi32(high_halves(even, odd), shift);
  }
};

struct Limits {
  __m512i low, high;

  Limits(i64 low, i64 high)
      : low(_mm512_set1_epi32(static_cast<i32>(low))),
        high(_mm512_set1_epi32(static_cast<i32>(high))) {}

  __m512i operator()(__m512i x) const {
    return _mm512_max_epi32(low, _mm512_min_epi32(high, x));
  }
};

// 16 results of 64 bits each, saturated to 32 bits.
inline __m512i saturated(__m512i even, __m512i odd) {
  const __m512i most = _mm512_set1_epi64(INT32_MAX);
  const __m512i least = _mm512_set1_epi64(INT32_MIN);
  even = _mm512_max_epi64(least, _mm512_min_epi64(most, even));
  odd = _mm512_max_epi64(least, _mm512_min_epi64(most, odd));
  return _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
}

// 16 results of 64 bits, shifted right; 32 bits hold them, or are saturated. Quick: by
// less than 32, and 32 bits hold them. Shifts of each lane by a number of its own cost
// less than those of all lanes by one number.
template <bool Quick>
struct Narrowing {
  __m512i shift, odd_shift;
  bool narrow, left;

  Narrowing(i64 shift, bool narrow)
      : shift(_mm512_set1_epi64(shift)),
        odd_shift(_mm512_set1_epi64(shift < 32 ? 32 - shift : shift - 32)),
        narrow(narrow),
        left(shift < 32) {}

  // The odd lanes' result is moved to where it belongs, the high half.
  __m512i operator()(__m512i even, __m512i odd) const {
    if (!Quick && !narrow)
      return saturated(_mm512_srav_epi64(even, shift), _mm512_srav_epi64(odd, shift));
    odd = Quick || left ? _mm512_sllv_epi64(odd, odd_shift)
                        : _mm512_srav_epi64(odd, odd_shift);
    return _mm512_mask_blend_epi32(0xAAAA, _mm512_srav_epi64(even, shift), odd);
  }
};

// Forms of a requantization or a sum, chosen before a loop rather than within it: an
// addition of 32 bits; quickly narrowed; of the products' upper halves; any.
enum Form { kPlain, kQuick, kUpper, kAny };

// A sum of two with one rounding: both products in 64 bits.
template <Form F>
struct SumVector {
  __m512i left, right, offset;
  Narrowing<F == kQuick> shifted;
  Limits limits;

  explicit SumVector(const Sum& s)
      : left(_mm512_set1_epi64(s.left)),
        right(_mm512_set1_epi64(s.right)),
        offset(_mm512_set1_epi64(s.offset)),
        shifted(s.shift, s.fits_int32),
        limits(s.low, s.high) {}

  __m512i wide(__m512i a, __m512i b) const {
    __m512i sum = _mm512_add_epi64(_mm512_mul_epi32(a, left), offset);
    return _mm512_add_epi64(sum, _mm512_mul_epi32(b, right));
  }

  // One of them alone.
  __m512i operator()(__m512i a) const {
    const __m512i odd = _mm512_mul_epi32(odd_lanes(a), left);
    const __m512i even = _mm512_mul_epi32(a, left);
    return limits(shifted(_mm512_add_epi64(even, offset), _mm512_add_epi64(odd, offset)));
  }

  // Before the limits: 32 bits of it.
  __m512i unlimited(__m512i a, __m512i b) const {
    if (F == kPlain) return _mm512_add_epi32(a, b);
    return shifted(wide(a, b), wide(odd_lanes(a), odd_lanes(b)));
  }

  __m512i operator()(__m512i a, __m512i b) const { return limits(unlimited(a, b)); }
};

// Calls body(sum of the right form).
template <class Body>
inline void with_sum(const Sum& s, Body body) {
  if (s.fits_int32 && s.left == 1 && s.right == 1 && s.offset == 0 && s.shift == 0)
    body(SumVector<kPlain>(s));
  else if (s.fits_int32 && s.shift < 32)
    body(SumVector<kQuick>(s));
  else
    body(SumVector<kAny>(s));
}

// One requantization of all columns.
template <Form F>
struct ScalarVector {
  __m512i multiplier, offset;
  Narrowing<F == kQuick> shifted;
  Limits limits;

  explicit ScalarVector(const Requantization& r)
      : multiplier(_mm512_set1_epi64(r.multiplier)),
        offset(_mm512_set1_epi64(r.offset)),
        shifted(r.shift, r.fits_int32),
        limits(r.low, r.high) {}

  __m512i wide(__m512i a) const {
    return _mm512_add_epi64(_mm512_mul_epi32(a, multiplier), offset);
  }

  // Before the limits: 32 bits of it.
  __m512i unlimited(__m512i a) const { return shifted(wide(a), wide(odd_lanes(a))); }

  __m512i operator()(__m512i a) const { return limits(unlimited(a)); }
};

// The same where nothing is added to the lower halves of products: the upper ones will do.
template <>
struct ScalarVector<kUpper> {
  __m512i multiplier, offset, shift;
  Limits limits;

  explicit ScalarVector(const Requantization& r)
      : multiplier(_mm512_set1_epi64(r.multiplier)),
        offset(_mm512_set1_epi32(static_cast<i32>(r.offset >> 32))),
        shift(_mm512_set1_epi32(static_cast<i32>(r.shift - 32))),
        limits(r.low, r.high) {}

  __m512i unlimited(__m512i a) const {
    const __m512i odd = _mm512_mul_epi32(odd_lanes(a), multiplier);
    const __m512i upper = high_halves(_mm512_mul_epi32(a, multiplier), odd);
    return _mm512_srav_epi32(_mm512_add_epi32(upper, offset), shift);
  }

  __m512i operator()(__m512i a) const { return limits(unlimited(a)); }

  // Results of 32 bits have a sum below them of no more than 64.
  static bool suits(const Requantization& r) {
    return r.fits_int32 && r.shift >= 32 && r.shift < 64 && (r.offset & 0xFFFFFFFF) == 0;
  }
};

// Calls body(requantization of the right form). Upper: whether it is worth the code.
template <bool Upper, class Body>
inline void with_scalar(const Requantization& r, Body body) {
  if (r.fits_int32 && r.shift < 32) return body(ScalarVector<kQuick>(r));
  if constexpr (Upper)
    if (ScalarVector<kUpper>::suits(r)) return body(ScalarVector<kUpper>(r));
  body(ScalarVector<kAny>(r));
}

// 64 words as a function of the low 6 bits of a word.
struct WordsTable {
  __m512i low, high;

  WordsTable() = default;

  template <class T>
  explicit WordsTable(const T* words) : low(load(words)), high(load(words + 32)) {}

  __m512i operator()(__m512i index) const {
    return _mm512_permutex2var_epi16(low, index, high);
  }
};

// What the instruction set needs besides for tables of bytes: some CPUs with byte
// products have no permutations of bytes.
#define IPTQ_VBMI __attribute__((target("avx512vbmi")))

// 256 bytes as a function of a byte.
struct ByteTable {
  __m512i part[4];

  IPTQ_VBMI explicit ByteTable(const void* table) {
    for (int i = 0; i < 4; ++i)
      part[i] = load(static_cast<const char*>(table) + 64 * i);
  }

  IPTQ_VBMI __m512i operator()(__m512i index) const {
    const __m512i low = _mm512_permutex2var_epi8(part[0], index, part[1]);
    const __m512i high = _mm512_permutex2var_epi8(part[2], index, part[3]);
    const __mmask64 upper = _mm512_movepi8_mask(index);
    return _mm512_mask_blend_epi8(upper, low, high);
  }
};

// Words that _mm512_packs_epi32 made of two vectors, in the vectors' order.
inline __m512i ordered_words(__m512i words) {
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), words);
}

// Bytes of four vectors in order; of words that _mm512_packs_epi32 made of two vectors
// each.
inline __m512i ordered_bytes(__m512i first, __m512i second) {
  const __m512i order =
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(first, second));
}

// The same, limited.
struct OrderedBytes {
  __m512i low, high;

  OrderedBytes(i64 low, i64 high)
      : low(_mm512_set1_epi8(static_cast<char>(low))),
        high(_mm512_set1_epi8(static_cast<char>(high))) {}

  __m512i operator()(__m512i first, __m512i second) const {
    return _mm512_max_epu8(low, _mm512_min_epu8(high, ordered_bytes(first, second)));
  }
};

inline __m512i words(i64 value) { return _mm512_set1_epi16(static_cast<i16>(value)); }

struct WordLimits {
  __m512i low, high;

  WordLimits(i64 low, i64 high) : low(words(low)), high(words(high)) {}

  __m512i operator()(__m512i x) const {
    return _mm512_max_epi16(low, _mm512_min_epi16(high, x));
  }
};

inline __mmask16 first_lanes(i64 count) {
  if (count <= 0) return 0;
  return count >= kLanes ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1);
}

inline void store_vector(__m512i codes, __mmask16 mask, void* out, i64 type, i64 at) {
  if (type == kU8)
    _mm512_mask_cvtepi32_storeu_epi8(static_cast<u8*>(out) + at, mask, codes);
  else if (type == kI16)
    _mm512_mask_cvtepi32_storeu_epi16(static_cast<i16*>(out) + at, mask, codes);
  else
    _mm512_mask_storeu_epi32(static_cast<i32*>(out) + at, mask, codes);
}

}  // namespace
}  // namespace iptq
