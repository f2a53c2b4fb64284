// Exponentials of 16 differences; see exponentials.inl.
#pragma once

#include "softmax/exponentials.inl"
#include "isa/vectors_avx512.inl"

namespace iptq {
namespace {

// The only table.
struct Looked {
  const i32* table;

  __m512i operator()(__m512i d) const { return _mm512_i32gather_epi32(d, table, 4); }
};

// From differences to halvings, and to the exponentials of exponentials.inl.
struct Halved {
  __m512i multiplier, cap, half;

  explicit Halved(const Softmax& s)
      : multiplier(_mm512_set1_epi32(static_cast<i32>(s.multiplier))),
        cap(_mm512_set1_epi32(s.cap ? static_cast<i32>(s.cap) : INT32_MAX)),
        half(_mm512_set1_epi32(static_cast<i32>(s.half))) {}

  __m512i operator()(__m512i d) const {
    return _mm512_min_epi32(cap, _mm512_mullo_epi32(d, multiplier));
  }
};

inline __m512i fraction_of(__m512i h) {
  return _mm512_and_si512(h, _mm512_set1_epi32(kOne - 1));
}

inline __m512i halved(__m512i x, __m512i h) {
  return _mm512_srav_epi32(x, _mm512_srai_epi32(h, kFraction));
}

struct Quadratic : Halved {
  using Halved::Halved;

  __m512i operator()(__m512i d) const {
    const __m512i h = Halved::operator()(d);
    __m512i t = _mm512_srli_epi32(fraction_of(h), kFraction - kQuadraticBits);
    t = _mm512_sub_epi32(t, _mm512_set1_epi32(kVertex));
    t = _mm512_add_epi32(_mm512_mullo_epi32(t, t), _mm512_set1_epi32(kFloor));
    return halved(t, h);
  }
};

struct Chord : Halved {
  using Halved::Halved;

  __m512i operator()(__m512i d) const {
    const __m512i h = Halved::operator()(d);
    return halved(_mm512_sub_epi32(_mm512_set1_epi32(2 * kOne), fraction_of(h)), h);
  }
};

struct Tangent : Halved {
  using Halved::Halved;

  __m512i operator()(__m512i d) const {
    const __m512i h = _mm512_add_epi32(Halved::operator()(d), half);
    __m512i r = _mm512_sub_epi32(fraction_of(h), half);
    r = _mm512_srai_epi32(_mm512_mullo_epi32(r, _mm512_set1_epi32(-11)), 4);
    return halved(_mm512_add_epi32(r, _mm512_set1_epi32(kOne)), h);
  }
};

}  // namespace
}  // namespace iptq
