// Copies that turn the last two dimensions: small squares, turned in registers.
#pragma once

#include "elementwise/strided.inl"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace iptq {
namespace {

// to[i * to_row + j] = from[j * from_row + i] + add, for a square of `kSquare`.
template <class T>
struct Square {
  static constexpr i64 size = 16 / sizeof(T);

  static void turn(const T* from, i64 from_row, T* to, i64 to_row, T add) {
#ifdef __SSE2__
    __m128i line[size], other[size];
    for (i64 j = 0; j < size; ++j)
      line[j] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + j * from_row));
    // Interleaving the first half with the second one log2(size) times.
    for (i64 step = 1; step < size; step *= 2) {
      for (i64 j = 0; j < size / 2; ++j) {
        other[2 * j] = interleave_low(line[j], line[j + size / 2]);
        other[2 * j + 1] = interleave_high(line[j], line[j + size / 2]);
      }
      for (i64 j = 0; j < size; ++j) line[j] = other[j];
    }
    const __m128i shift = sizeof(T) == 1 ? _mm_set1_epi8(static_cast<char>(add))
                                         : _mm_set1_epi16(static_cast<short>(add));
    for (i64 i = 0; i < size; ++i) {
      const __m128i made = sizeof(T) == 1 ? _mm_add_epi8(line[i], shift)
                                          : _mm_add_epi16(line[i], shift);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_row), made);
    }
#else
    part(from, from_row, to, to_row, size, size, add);
#endif
  }

  // A part of a square.
  static void part(const T* from, i64 from_row, T* to, i64 to_row, i64 lines, i64 count,
                   T add) {
    for (i64 i = 0; i < lines; ++i)
      for (i64 j = 0; j < count; ++j)
        to[i * to_row + j] = static_cast<T>(from[j * from_row + i] + add);
  }

#ifdef __SSE2__
  static __m128i interleave_low(__m128i a, __m128i b) {
    return sizeof(T) == 1 ? _mm_unpacklo_epi8(a, b) : _mm_unpacklo_epi16(a, b);
  }
  static __m128i interleave_high(__m128i a, __m128i b) {
    return sizeof(T) == 1 ? _mm_unpackhi_epi8(a, b) : _mm_unpackhi_epi16(a, b);
  }
#endif
};

// Whether a copy of elements of 1 or 2 bytes turns its last two dimensions.
inline bool turns(const View& out, const View& a, i64 size) {
  return size <= 2 && a.stride[kDims - 2] == 1 && a.stride[kDims - 1] > 1 &&
         out.stride[kDims - 1] == 1;
}

// Such a copy's task: columns of squares, so that what is read stays in the cache
// until all of it is used.
template <class T>
void turn(const i64* shape, const View& out, const View& a, T add, i64 task,
          i64 tasks) {
  constexpr i64 kSquare = Square<T>::size, kColumn = 256;
  const i64 last = shape[kDims - 1], lines = shape[kDims - 2];
  const i64 bands = ceil_div(lines, kSquare), columns = ceil_div(last, kColumn);
  const i64 units = rows_of(shape) / lines * columns * bands;
  const i64 from_row = a.stride[kDims - 1], to_row = out.stride[kDims - 2];
  for (i64 unit = units * task / tasks; unit < units * (task + 1) / tasks; ++unit) {
    const i64 line = unit % bands * kSquare, first = unit / bands % columns * kColumn;
    const Row outer(shape, unit / (bands * columns) * lines);
    const T* from = static_cast<const T*>(a.data) + outer.at(a.stride) + line;
    T* to = static_cast<T*>(out.data) + outer.at(out.stride) + line * to_row;
    const i64 end = last - first < kColumn ? last : first + kColumn;
    const i64 high = lines - line < kSquare ? lines - line : kSquare;
    for (i64 i = first; i < end; i += kSquare) {
      const i64 wide = end - i < kSquare ? end - i : kSquare;
      if (high == kSquare && wide == kSquare)
        Square<T>::turn(from + i * from_row, from_row, to + i, to_row, add);
      else
        Square<T>::part(from + i * from_row, from_row, to + i, to_row, high, wide, add);
    }
  }
}

}  // namespace
}  // namespace iptq
