// Register tiles of AMX: 16 rows by 4 vectors of 16 columns, 64 depths at a time.
//
// Of the eight tile registers, 0 to 3 hold sums (16 rows of 16 int32), 4 holds 16 rows of
// 64 bytes of `a`, 5 holds 16 groups of 4 depths of a vector of columns, as they lie in a
// panel (panels.h). Where the depth is no multiple of 64, what is left of it goes through
// the registers 6 and 7, which TileConfig makes as short as that.
//
//   rows of a (4)                weights (5)                    sums (0)
//   64 bytes each                16 groups of 64 bytes          16 x 16 int32
//   +--------------------+       +----------------------+       +-----------+
//   | row 0: d0 .. d63   |       | d0 .. d3 of 16 columns |     |           |
//   | ...                |   x   | ...                    |  -> |           |
//   | row 15             |       | d60 .. d63             |     |           |
//   +--------------------+       +------------------------+     +-----------+
//
// Products of int16, which AMX does not have, are those of AVX512 (tile_avx512.inl).
#pragma once

#include "product/tiles/tile_avx512.inl"

namespace iptq {
namespace {

constexpr i64 kTileGroups = kTileDepth / 4;

// The shapes of the registers, while it lives. `groups` of 4 depths may be any number.
class TileConfig {
 public:
  explicit TileConfig(i64 groups) {
    const i64 rest = groups % kTileGroups ? groups % kTileGroups : kTileGroups;
    struct {
      u8 palette = 1, start = 0, unused[14] = {};
      u16 bytes[16] = {};  // of a row
      u8 rows[16] = {};
    } shapes;
    static_assert(sizeof shapes == 64, "as the instruction reads it");
    for (int i = 0; i < 8; ++i) {
      shapes.bytes[i] = 64;
      shapes.rows[i] = 16;
    }
    shapes.bytes[6] = static_cast<u16>(4 * rest);
    shapes.rows[7] = static_cast<u8>(rest);
    asm volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
  }
  ~TileConfig() { asm volatile("tilerelease" : : : "memory"); }
  TileConfig(const TileConfig&) = delete;
  TileConfig& operator=(const TileConfig&) = delete;
};

// The intrinsics of GCC do not say that they read memory.
template <int Register>
inline void load_tile(const void* from, i64 distance) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2"
               : : "r"(from), "r"(distance), "i"(Register) : "memory");
}

template <int Register>
inline void store_tile(void* to, i64 distance) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)"
               : : "r"(to), "r"(distance), "i"(Register) : "memory");
}

template <int Register>
inline void clear_tile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(Register) : "memory");
}

template <int Sums, int A, int B>
inline void multiply_tiles() {
  asm volatile("tdpbusd %%tmm%c0, %%tmm%c1, %%tmm%c2"
               : : "i"(B), "i"(A), "i"(Sums) : "memory");
}

// 16 rows of `a`: where they lie at equal distances as they lie, else copied.
class TileRows {
 public:
  TileRows(const char* const* rows, i64 count) : rows_(rows), count_(count) {
    if (count < kTileRows) return;
    distance_ = rows[1] - rows[0];
    for (i64 i = 2; i < kTileRows; ++i)
      if (rows[i] - rows[i - 1] != distance_) distance_ = 0;
  }

  // `bytes` of each from `at` on; rows that are missing have whatever there was.
  template <int Register>
  void load(i64 at, i64 bytes) {
    if (distance_) return load_tile<Register>(rows_[0] + at, distance_);
    const __mmask64 mask = bytes == 64 ? ~u64{0} : (u64{1} << bytes) - 1;
    for (i64 i = 0; i < count_; ++i) {
      const __m512i row = _mm512_maskz_loadu_epi8(mask, rows_[i] + at);
      _mm512_store_si512(copy_ + 64 * i, row);
    }
    load_tile<Register>(copy_, 64);
  }

 private:
  const char* const* rows_;
  i64 count_, distance_ = 0;
  alignas(64) char copy_[kTileRows * 64];
};

template <int Width, int A, int B>
inline void multiply_width(const char* b) {
  constexpr i64 distance = 64 * Width;
  load_tile<B>(b, distance);
  multiply_tiles<0, A, B>();
  if constexpr (Width > 1) {
    load_tile<B>(b + 64, distance);
    multiply_tiles<1, A, B>();
  }
  if constexpr (Width > 2) {
    load_tile<B>(b + 128, distance);
    multiply_tiles<2, A, B>();
  }
  if constexpr (Width > 3) {
    load_tile<B>(b + 192, distance);
    multiply_tiles<3, A, B>();
  }
}

// As Tile says; `start` and `out` have room for 16 rows if they do not lie by columns.
template <int Width>
void byte_tile(const char* const* a, i64 rows, i64 taps, const char* b, i64 groups,
               const i32* start, i64 start_row, i32* out, i64 out_row) {
  load_tile<0>(start, 4 * start_row);
  if constexpr (Width > 1) load_tile<1>(start + kLanes, 4 * start_row);
  if constexpr (Width > 2) load_tile<2>(start + 2 * kLanes, 4 * start_row);
  if constexpr (Width > 3) load_tile<3>(start + 3 * kLanes, 4 * start_row);
  for (i64 t = 0; t < taps; ++t, a += kTileRows) {
    TileRows left(a, rows);
    i64 g = 0;
    for (; g + kTileGroups <= groups; g += kTileGroups, b += kTileDepth * kLanes * Width) {
      left.load<4>(4 * g, 64);
      multiply_width<Width, 4, 5>(b);
    }
    if (g == groups) continue;
    left.load<6>(4 * g, 4 * (groups - g));
    multiply_width<Width, 6, 7>(b);
    b += (groups - g) * 64 * Width;
  }
  store_tile<0>(out, 4 * out_row);
  if constexpr (Width > 1) store_tile<1>(out + kLanes, 4 * out_row);
  if constexpr (Width > 2) store_tile<2>(out + 2 * kLanes, 4 * out_row);
  if constexpr (Width > 3) store_tile<3>(out + 3 * kLanes, 4 * out_row);
}

// Six rows at a time.
template <int Rows, int Width>
void word_tile(const char* const* a, i64 taps, const char* b, i64 groups,
               const i32* start, i64 start_row, i32* out, i64 out_row) {
  if constexpr (Rows <= 6) {
    tile<Rows, Width, false>(a, taps, b, groups, start, start_row, out, out_row);
  } else {
    tile<6, Width, false>(a, taps, b, groups, start, start_row, out, out_row);
    word_tile<Rows - 6, Width>(a + 6, taps, b, groups, start + 6 * start_row, start_row,
                               out + 6 * out_row, out_row);
  }
}

template <int Rows, int Width, bool Bytes>
void matrix_tile(const char* const* a, i64 taps, const char* b, i64 groups,
              const i32* start, i64 start_row, i32* out, i64 out_row) {
  if constexpr (Bytes)
    byte_tile<Width>(a, Rows, taps, b, groups, start, start_row, out, out_row);
  else
    word_tile<Rows, Width>(a, taps, b, groups, start, start_row, out, out_row);
}

// Words by bytes: two products of bytes, of the words' upper and lower ones.
constexpr bool kSplitsWords = true;
using SplitProbability = SplitWord;

// One or two vectors of columns; the registers 0 and 1 hold sums of upper bytes (4), 2 and
// 3 those of lower bytes (5), 6 and 7 the columns.
template <bool Two>
inline void split_tile(const char* above, i64 below, i64 a_row, const char* b, i64 b_row,
                       i64 groups, i32* out, i64 out_row) {
  clear_tile<0>();
  clear_tile<2>();
  if constexpr (Two) clear_tile<1>();
  if constexpr (Two) clear_tile<3>();
  for (i64 g = 0; g < groups; g += kTileGroups, above += 64, b += kTileGroups * b_row) {
    load_tile<4>(above, a_row);
    load_tile<5>(above + below, a_row);
    load_tile<6>(b, b_row);
    if constexpr (Two) load_tile<7>(b + 64, b_row);
    multiply_tiles<0, 4, 6>();
    multiply_tiles<2, 5, 6>();
    if constexpr (Two) multiply_tiles<1, 4, 7>();
    if constexpr (Two) multiply_tiles<3, 5, 7>();
  }
  constexpr i64 vectors = Two ? 2 : 1;
  alignas(64) i32 upper[kTileRows * vectors * kLanes];
  store_tile<0>(upper, 64 * vectors);
  if constexpr (Two) store_tile<1>(upper + kLanes, 64 * vectors);
  store_tile<2>(out, 4 * out_row);
  if constexpr (Two) store_tile<3>(out + kLanes, 4 * out_row);
  for (i64 r = 0; r < kTileRows; ++r)
    for (i64 v = 0; v < vectors; ++v) {
      i32* sums = out + r * out_row + v * kLanes;
      const __m512i shifted = _mm512_slli_epi32(load(upper + (r * vectors + v) * kLanes), 8);
      _mm512_storeu_si512(sums, _mm512_add_epi32(load(sums), shifted));
    }
}

// out = a b of 16 rows of split words (panels.h) as softmax leaves them, less their zero
// point. Whole registers of depths: TileConfig(0).
inline void multiply_split(const SplitWord* a, i64 below, i64, i64, const PanelLayout& panels,
                           const char* packed, const i32*, i32* out, i64 out_row, char*) {
  const char* above = reinterpret_cast<const char*>(a);
  for (i64 p = 0; p < panels.count; ++p, out += panels.width * kLanes) {
    const i64 width = panels.width_of(p), b_row = 64 * width;
    const char* b = packed + panels.at(p, 8);
    for (i64 v = 0; v < width; v += 2)
      (width - v > 1 ? split_tile<true> : split_tile<false>)(
          above, below, 2 * below, b + 64 * v, b_row, panels.groups, out + v * kLanes, out_row);
  }
}

}  // namespace
}  // namespace iptq
