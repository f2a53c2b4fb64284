// No epilogue by hand: compilers vectorize the common one.
#pragma once

#include "arithmetic.inl"
#include "epilogue/no_constants.inl"

namespace iptq {
namespace {

inline bool finish_quickly(const Gemm&, const i32*, i64, i64, i64, i64,
                           const PanelConstants&) {
  return false;
}

// Sums of two rows; the first one becomes the result.
inline void add_rows(const Sum& s, i32* a, const i32* b, i64 count) {
  for (i64 i = 0; i < count; ++i) a[i] = add_requantized(a[i], b[i], s);
}

}  // namespace
}  // namespace iptq
