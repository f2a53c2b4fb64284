// Rows and panels of products stay as they are; see tiles/form_neon.inl for what else may be.
#pragma once

#include "product/panels.h"

namespace iptq {
namespace {

constexpr bool kFormsRows = false, kFormsPanels = false;
constexpr i64 kRowShift = 0;

// Whether products of words by bytes are quicker as two of bytes by bytes: see
// tiles/split_amx.inl.
#ifndef IPTQ_AMX_TILES
constexpr bool kSplitsWords = false;
using SplitProbability = i16;
inline void multiply_split(const i16*, i64, i64, const PanelLayout&, const char*,
                           const i32*, i32*, i64, char*) {}
#endif

enum RowKind { kBytes, kWidened, kWords };

inline i64 formed_bytes(i64, i64) { return 0; }
inline void form_rows(const char* const*, i64, i64, i64, i64, RowKind, char*) {}
inline void pair_groups(const i8*, const i8*, i64, char*) {}
inline void sum_groups(const i8*, i64, i64, i32*) {}
inline bool widen_quickly(const i8*, i64, i16*) { return false; }
inline void form_panels(const PanelLayout&, char*) {}

}  // namespace
}  // namespace iptq
