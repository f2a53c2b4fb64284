// Register tiles for 64-bit ARM: 16 columns of up to 6 rows at a time.
//
// The including file says which products of bytes there are: IPTQ_DOTPROD, IPTQ_I8MM or
// none; then, and for int16, there are those of words.
#pragma once

#include "product/tiles/form_neon.inl"
#include "product/tiles/strips_neon.inl"

namespace iptq {
namespace {

#if defined(IPTQ_DOTPROD) || defined(IPTQ_I8MM)
constexpr bool kByteProducts = true;
#else
constexpr bool kByteProducts = false;
#endif
constexpr bool kSplitsWords = kByteProducts;
using SplitProbability = i16;

template <int Pairs, bool Bytes>
inline void run_strip(const Strip& strip) {
  if constexpr (Bytes) byte_strip<Pairs>(strip);
  else word_strip<Pairs>(strip);
}

// `taps` taps of `groups` dwords each, whose units follow one another. Again: the upper
// bytes of words are followed by the lower ones.
template <int Pairs, bool Bytes>
__attribute__((noinline)) void multiply_strips(const char* a, i64 taps, const char* b,
                                               i64 groups, i64 width, const i32* start,
                                               i64 start_row, i32* out, i64 out_row,
                                               bool again = false) {
  Strip s;
  s.a = a;
  s.units = taps * (groups / 2);
  s.half = groups % 2;
  s.again = again;
  s.step = 64 * width;
  s.start_step = 4 * start_row;
  s.out_step = 4 * out_row;
  for (i64 j = 0; j < width; ++j) {
    s.b = b + (Bytes && kFormsPanels ? 128 : 64) * j;
    s.out = out + kLanes * j;
    s.start = start + kLanes * j;
    run_strip<Pairs, Bytes>(s);
  }
}

// As Tile says, but a[0] points at all rows, formed. Sums have room for one row more.
template <int Pairs, bool Bytes>
void formed_tile(const char* a, i64 taps, const char* b, i64 groups, i64 width,
                 const i32* start, i64 start_row, i32* out, i64 out_row) {
  if (Bytes && kFormsPanels) groups = (groups + 1) / 2 * 2;
  if (groups % 2 == 0 || taps == 1)
    return multiply_strips<Pairs, Bytes>(a, taps, b, groups, width, start, start_row, out,
                                         out_row);
  for (i64 t = 0; t < taps; ++t) {
    multiply_strips<Pairs, Bytes>(a, 1, b, groups, width, start, start_row, out, out_row);
    a += (groups + 1) / 2 * 16 * Pairs;
    b += groups * 64 * width;
    start = out;
    start_row = out_row;
  }
}

// out = start + a b of all panels, where `a` are up to kTileRows rows of words without
// signs, as two bytes each, and `start` is that of rows of bytes whose zero point is 0.
inline void multiply_split(const i16* a, i64 a_row, i64 rows, const PanelLayout& panels,
                           const char* packed, const i32* start, i32* out, i64 out_row,
                           char* form) {
  if constexpr (kByteProducts) {
    form_split(a, a_row, rows, panels.groups * 4, form);
    const auto strips = rows > 4   ? multiply_strips<3, true>
                        : rows > 2 ? multiply_strips<2, true>
                                   : multiply_strips<1, true>;
    for (i64 p = 0; p < panels.count; ++p) {
      const i64 column = panels.column(p);
      strips(form, 1, packed + panels.at(p, 8), panels.groups, panels.width_of(p),
             start + column, 0, out + column, out_row, true);
    }
  }
}

template <int Rows, int Width, bool Bytes>
void tile(const char* const* a, i64 taps, const char* b, i64 groups, const i32* start,
          i64 start_row, i32* out, i64 out_row) {
  formed_tile<(Rows + 1) / 2, Bytes>(a[0], taps, b, groups, Width, start, start_row, out,
                                     out_row);
}

}  // namespace
}  // namespace iptq
