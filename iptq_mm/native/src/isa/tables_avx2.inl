// Tables of 32 or 64 entries, permuted 16 bytes at a time.
#pragma once

#include "isa/vectors_avx2.inl"

namespace iptq {
namespace {

// Where 32 bytes, each below 16 * Parts, are looked up in the parts of a table: the place
// within its own part; in all others a number whose byte is 0, since its upper bit is set.
template <int Parts>
struct Places {
  __m256i of[Parts];

  explicit Places(__m256i bytes) {
    const __m256i most = _mm256_set1_epi8(0x70);
#pragma GCC unroll 4
    for (int i = 0; i < Parts; ++i)
      of[i] = _mm256_add_epi8(_mm256_xor_si256(bytes, _mm256_set1_epi8(16 * i)), most);
  }
};

// Bytes of a table, 16 to a part: the same for both halves of a vector, or each its own.
template <int Parts>
struct ByteTable {
  __m256i part[Parts];

  ByteTable() = default;

  ByteTable(const u8* low, const u8* high) {
    for (int i = 0; i < Parts; ++i) part[i] = _mm256_setr_m128i(at(low, i), at(high, i));
  }

  explicit ByteTable(const u8* both) : ByteTable(both, both) {}

  __m256i operator()(const Places<Parts>& places) const {
    __m256i made = _mm256_shuffle_epi8(part[0], places.of[0]);
#pragma GCC unroll 4
    for (int i = 1; i < Parts; ++i)
      made = _mm256_or_si256(made, _mm256_shuffle_epi8(part[i], places.of[i]));
    return made;
  }

 private:
  static __m128i at(const u8* bytes, int part) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes) + part);
  }
};

// The lower and the upper bytes of words, apart.
template <int Count>
struct SplitTable {
  u8 low[Count], high[Count];

  template <class T>
  explicit SplitTable(const T* words) {
    for (int i = 0; i < Count; ++i) {
      low[i] = static_cast<u8>(words[i]);
      high[i] = static_cast<u8>(words[i] >> 8);
    }
  }
};

// 16 words of each of two tables of 64, by words below 64.
struct TwoTables {
  ByteTable<4> first, second;
  __m256i pairs;  // byte i beside byte i + 8

  template <class T>
  TwoTables(const T* words, const T* others)
      : first(of(SplitTable<64>(words))),
        second(of(SplitTable<64>(others))),
        pairs(_mm256_broadcastsi128_si256(
            _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15))) {}

  void operator()(__m256i index, __m256i& made, __m256i& other) const {
    const Places<4> places(_mm256_broadcastsi128_si256(narrowed(index)));
    made = beside(first(places));
    other = beside(second(places));
  }

 private:
  static ByteTable<4> of(const SplitTable<64>& t) { return ByteTable<4>(t.low, t.high); }

  // Lower bytes are in the lower half, upper ones in the other.
  __m256i beside(__m256i halves) const {
    return _mm256_shuffle_epi8(_mm256_permute4x64_epi64(halves, 0xD8), pairs);
  }
};

}  // namespace
}  // namespace iptq
