// Products of tables' entries, the exponentials of 32 differences; see exponentials.inl.
#pragma once

#include "isa/tables_avx2.inl"
#include "softmax/exponentials.inl"

namespace iptq {
namespace {

// Words of 32 bytes and the bytes above them. Both alternate by 128 bits like those that
// _mm256_packus_epi16 makes, and words are in order again.
struct WordPair {
  __m256i first, second;

  WordPair(__m256i low, __m256i high)
      : first(_mm256_unpacklo_epi8(low, high)), second(_mm256_unpackhi_epi8(low, high)) {}
};

template <int Parts>
struct WordTable {
  ByteTable<Parts> low, high;

  WordTable() = default;

  explicit WordTable(const u16* words) : WordTable(SplitTable<16 * Parts>(words)) {}

  WordPair operator()(const Places<Parts>& places) const {
    return {low(places), high(places)};
  }

 private:
  explicit WordTable(const SplitTable<16 * Parts>& t) : low(t.low), high(t.high) {}
};

// The tables of a task.
struct Tables {
  WordTable<2> fine, medium;
  WordTable<4> mantissa;
  ByteTable<4> exponent;

  explicit Tables(const Softmax& s) {
    if (!s.fine) return;
    fine = WordTable<2>(s.fine);
    medium = WordTable<2>(s.medium);
    mantissa = WordTable<4>(s.mantissa);
    exponent = ByteTable<4>(SplitTable<64>(static_cast<const u16*>(s.exponent)).low);
  }

  // Of 32 differences, words in order, to exponentials below 2**31: 8 of each in made[i].
  void operator()(__m256i a, __m256i b, __m256i* made) const {
    const __m256i five = words(31);
    const auto bytes = [](__m256i x, __m256i y) { return _mm256_packus_epi16(x, y); };
    const auto masked = [&](__m256i x) { return _mm256_and_si256(x, five); };
    const __m256i a5 = _mm256_srli_epi16(a, 5), b5 = _mm256_srli_epi16(b, 5);
    const WordPair first = fine(Places<2>(bytes(masked(a), masked(b))));
    const WordPair second = medium(Places<2>(bytes(masked(a5), masked(b5))));
    const Places<4> block(bytes(_mm256_srli_epi16(a, 10), _mm256_srli_epi16(b, 10)));
    const WordPair third = mantissa(block);
    const WordPair shift(exponent(block), _mm256_setzero_si256());
    half(_mm256_mulhi_epu16(first.first, second.first), third.first, shift.first, made);
    half(_mm256_mulhi_epu16(first.second, second.second), third.second, shift.second,
         made + 2);
  }

 private:
  // 16 products, shifted. They alternate by 128 bits: numbers 0 to 3 and 8 to 11 first.
  static void half(__m256i within, __m256i mantissa, __m256i shift, __m256i* made) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i low = _mm256_mullo_epi16(within, mantissa);
    const __m256i high = _mm256_mulhi_epu16(within, mantissa);
    const __m256i x = _mm256_srlv_epi32(_mm256_unpacklo_epi16(low, high),
                                        _mm256_unpacklo_epi16(shift, zero));
    const __m256i y = _mm256_srlv_epi32(_mm256_unpackhi_epi16(low, high),
                                        _mm256_unpackhi_epi16(shift, zero));
    made[0] = _mm256_permute2x128_si256(x, y, 0x20);
    made[1] = _mm256_permute2x128_si256(x, y, 0x31);
  }
};

}  // namespace
}  // namespace iptq
