// Where the rows of a tile go.
#pragma once

#include "arithmetic.inl"

namespace iptq {
namespace {

// Rows that go nowhere are left out.
struct Targets {
  i64 count = 0, target[kTileRows];
  const i32* sums[kTileRows];

  Targets(const Gemm& g, const i32* from, i64 row, i64 rows) {
    for (i64 r = 0; r < rows; ++r, from += kTileColumns) {
      const i64 at = target_of(g, row + r);
      if (at < 0) continue;
      target[count] = at;
      sums[count++] = from;
    }
  }
};

}  // namespace
}  // namespace iptq
