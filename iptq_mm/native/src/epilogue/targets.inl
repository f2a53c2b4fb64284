// Where the rows of a product go.
#pragma once

#include "commands.h"

namespace iptq {
namespace {

// Row of the result that a row of a product is; -1: none.
inline i64 target_of(const Gemm& g, i64 row) { return g.rows ? g.rows[row] : row; }

// What is added to a row of the result.
inline const i16* residual_of(const Gemm& g, i64 target) {
  const i64 row = g.residual_rows ? g.residual_rows[target] : target;
  return g.residual + row * g.residual_row;
}

// The rows of a tile; those that go nowhere are left out.
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
