// The rows of an attention: nothing by hand.
#pragma once

#include "softmax/softmax_any.inl"

namespace iptq {
namespace {

// What a task makes of the tables: nothing here.
struct Tables {
  explicit Tables(const Softmax&) {}
};

// Accumulators of rows to scores, with what is added to them; these are no words.
inline Scores score_rows(const Attention& a, i64 group, i64 row, i64 rows, i32* scores,
                         i64 distance) {
  any_score_rows(a, group, row, rows, scores, distance);
  return kAsNumbers;
}

// Scores become probabilities' codes.
template <class T>
void quotients(const Softmax& s, const Tables&, i32* scores, i64 distance, i64 rows,
               i64 keys, Scores, T* p, i64 p_row) {
  any_quotients(s, scores, distance, rows, keys, p, p_row);
}

// Sums of rows to results, those `out_row` apart.
inline void store_results(const Requantization& r, i64 size, const i32* sums,
                          i64 distance, i64 rows, void* out, i64 type, i64 at,
                          i64 out_row) {
  any_store_results(r, size, sums, distance, rows, out, type, at, out_row);
}

}  // namespace
}  // namespace iptq
