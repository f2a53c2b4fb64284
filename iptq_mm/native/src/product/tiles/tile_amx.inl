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
// Products of int16 by bytes, which AMX does not have, are two of bytes (split_amx.inl),
// those of int16 by int16 are those of AVX512 (tile_avx512.inl).
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

// Bytes of A, unsigned unless they are said to be signed, by signed ones of B.
template <int Sums, int A, int B, bool Signed = false>
inline void multiply_tiles() {
  if constexpr (Signed)
    asm volatile("tdpbssd %%tmm%c0, %%tmm%c1, %%tmm%c2"
                 : : "i"(B), "i"(A), "i"(Sums) : "memory");
  else
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

}  // namespace
}  // namespace iptq
