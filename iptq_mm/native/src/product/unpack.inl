// Panels of weights brought to the form of this instruction set's products.
#pragma once

#include <cstring>

#include "product/panels.h"

namespace iptq {
namespace {

// Two 4-bit weights of a byte in 16 bits, the lower half first, each times a factor. In
// lanes of 16 bits, because no instruction set multiplies bytes.
inline u16 unpacked(i8 byte, i16 factor) {
  const u16 both = static_cast<u8>(byte);
  const i16 low = static_cast<i16>(static_cast<i16>(both << 12) >> 12);
  const i16 high = static_cast<i16>(static_cast<i16>(both << 8) >> 12);
  const u16 first = static_cast<u8>(low * factor), second = static_cast<u8>(high * factor);
  return static_cast<u16>(first | second << 8);
}

// The weights of `count` bytes, with a factor for each two.
inline void unpack_halves(const i8* __restrict from, const i16* __restrict factors,
                          i64 count, u16* __restrict to) {
  for (i64 i = 0; i < count; ++i) to[i] = unpacked(from[i], factors[i]);
}

// Groups of 4 depths become two groups of pairs of int16.
inline void widen_group(const i8* from, i64 columns, i16* to) {
  if (widen_quickly(from, columns, to)) return;
  for (i64 half = 0; half < 2; ++half)
    for (i64 c = 0; c < columns; ++c)
      for (i64 i = 0; i < 2; ++i)
        to[2 * (half * columns + c) + i] = from[4 * c + 2 * half + i];
}

// The factor of each column, twice: for the 4 depths of a group.
inline void spread_factors(const u8* __restrict from, i64 columns, i16* __restrict to) {
  for (i64 c = 0; c < columns; c += 2) {
    const u8 both = from[c / 2];
    to[2 * c] = to[2 * c + 1] = static_cast<i16>((both & 15) + 1);
    to[2 * c + 2] = to[2 * c + 3] = static_cast<i16>((both >> 4) + 1);
  }
}

// Weights of a panel of 4 bits, group after group of 4 depths, times their factors, which
// are 1 where there are none.
class FourBits {
 public:
  FourBits(const Gemm& g, const PanelLayout& panels, i64 panel, i64 taps)
      : codes_(g.weights + panels.at(panel, 4) * taps),
        columns_(panels.width_of(panel) * kLanes),
        groups_(panels.groups),
        share_(g.group / 4) {
    if (share_) factors_ = g.factors + panels.factors_at(panel, g.group) * taps / 2;
    for (i16& factor : spread_) factor = 1;
  }

  // The bytes of the next group.
  void next(u16* to) {
    if (share_ && at_ % share_ == 0) {
      spread_factors(factors_, columns_, spread_);
      factors_ += columns_ / 2;
    }
    if (++at_ == groups_) at_ = 0;  // a tap begins with factors of its own
    unpack_halves(codes_, spread_, columns_ * 2, to);
    codes_ += columns_ * 2;
  }

 private:
  const i8* codes_;
  const u8* factors_ = nullptr;
  i64 columns_, groups_, share_, at_ = 0;
  alignas(64) i16 spread_[kTileColumns * 2];
};

// A panel whose groups become groups of 8 depths, the last one of a tap with zeros.
inline void unpack_pairs(const Gemm& g, const PanelLayout& panels, i64 panel, i64 taps,
                         char* to) {
  static const i8 zeros[kTileColumns * 4] = {};
  const i64 size = panels.width_of(panel) * kLanes * 4;
  const i8* bytes = g.weights + panels.at(panel, 8) * taps;
  FourBits codes(g, panels, panel, taps);
  u16 unpacked[2][kTileColumns * 2];
  for (i64 t = 0; t < taps; ++t)
    for (i64 i = 0; i < panels.groups; i += 2, to += 2 * size) {
      const i8* group[2] = {bytes, bytes + size};
      const i64 count = i + 1 == panels.groups ? 1 : 2;
      for (i64 j = 0; j < count && g.bits == 4; ++j) {
        codes.next(unpacked[j]);
        group[j] = reinterpret_cast<const i8*>(unpacked[j]);
      }
      pair_groups(group[0], count == 1 ? zeros : group[1], size, to);
      bytes += count * size;
    }
}

// A panel of bytes whose taps end with zeros, `whole` groups in all.
inline void unpack_bytes(const Gemm& g, const PanelLayout& panels, i64 panel, i64 taps,
                         i64 whole, char* to) {
  const i64 size = panels.width_of(panel) * kLanes * 4;
  const i8* bytes = g.weights + panels.at(panel, 8) * taps;
  FourBits codes(g, panels, panel, taps);
  for (i64 t = 0; t < taps; ++t) {
    for (i64 i = 0; i < panels.groups; ++i, to += size, bytes += size) {
      if (g.bits == 4) codes.next(reinterpret_cast<u16*>(to));
      else std::memcpy(to, bytes, static_cast<std::size_t>(size));
    }
    const i64 zeros = (whole - panels.groups) * size;
    std::memset(to, 0, static_cast<std::size_t>(zeros));
    to += zeros;
  }
}

// First sums of a panel whose rows are shifted down: sum + kRowShift * sum of weights.
inline void shift_start(const Gemm& g, const PanelLayout& panels, i64 panel, i64 taps,
                        const char* b, i32* start) {
  const i64 columns = panels.width_of(panel) * kLanes;
  i32 sums[kTileColumns] = {};
  sum_groups(reinterpret_cast<const i8*>(b), panels.groups * taps, columns, sums);
  for (i64 c = 0; c < columns; ++c)
    start[c] = static_cast<i32>(static_cast<u32>(g.start[panels.column(panel) + c]) +
                                static_cast<u32>(sums[c]) * static_cast<u32>(kRowShift));
}

// A panel of weights, as this instruction set multiplies them.
template <bool Bytes>
void unpack_panel(const Gemm& g, const PanelLayout& panels, i64 panel, i64 taps,
                  char* to) {
  const i64 columns = panels.width_of(panel) * kLanes, size = columns * 4;
  const i64 groups = panels.groups * taps;
  if (Bytes && kFormsPanels) return unpack_pairs(g, panels, panel, taps, to);
  if (g.bits != 4) {
    const i8* bytes = g.weights + panels.at(panel, g.bits) * taps;
    for (i64 i = 0; i < groups; ++i, bytes += size, to += 2 * size)
      widen_group(bytes, columns, reinterpret_cast<i16*>(to));
    return;
  }
  FourBits codes(g, panels, panel, taps);
  u16 group[kTileColumns * 2];
  for (i64 i = 0; i < groups; ++i, to += Bytes ? size : 2 * size) {
    codes.next(Bytes ? reinterpret_cast<u16*>(to) : group);
    const i8* each = reinterpret_cast<const i8*>(group);
    if (!Bytes) widen_group(each, columns, reinterpret_cast<i16*>(to));
  }
}

// `depth` bytes from `from` on of the rows at each tap as int16, pointed at instead.
inline void widen_rows(const char** rows, i64 taps, i64 count, i64 from, i64 depth,
                       char* to) {
  for (i64 t = 0; t < taps; ++t, rows += kTileRows)
    for (i64 i = 0; i < count; ++i, to += 2 * depth) {
      const u8* codes = reinterpret_cast<const u8*>(rows[i]) + from;
      i16* wide = reinterpret_cast<i16*>(to);
      for (i64 d = 0; d < depth; ++d) wide[d] = codes[d];
      rows[i] = to;
    }
}

}  // namespace
}  // namespace iptq
