#include "checks/check.h"

#include "error.h"

namespace iptq {

bool Check::that(bool condition, const char* what) {
  if (!ok_ || condition) return ok_;
  ok_ = refuse(
      "command %lld (%s): %s is damaged: the file was not written by this project's "
      "exporter, or changed since; export the model again",
      static_cast<long long>(number_), name_, what);
  return false;
}

bool Check::within(i64 value, i64 low, i64 high, const char* what) {
  return that(value >= low && value <= high, what);
}

void Check::span(u64 address, Count first, Count last, i64 size, bool written,
                 const char* what) {
  const u64 section = address >> file::kSectionShift;
  const bool arena = section == file::kArena;
  if (!that(arena || (!written && section == file::kConstants), what)) return;
  const i64 offset = static_cast<i64>(address & file::kOffset);
  const Count begin = first * size + offset, end = last * size + offset + size;
  const u64 bytes = arena ? sections_.arena_bytes : sections_.constants_bytes;
  that(size > 0 && offset % size == 0 && begin.valid() && end.valid() &&
           begin.value() >= 0 && end.value() >= begin.value() &&
           static_cast<u64>(end.value()) <= bytes,
       what);
}

bool Check::shape(const i64* shape) {
  Count all = 1;
  for (int d = 0; d < kDims; ++d) {
    if (!size(shape[d], "the shape")) return false;
    all = all * shape[d];
  }
  return that(all.valid() && all.value() <= kMost, "the shape");
}

void Check::view(const View& v, const i64* shape, i64 size, bool written,
                 const char* what) {
  if (!ok_) return;
  if (!size) size = size_of(v.type);
  if (!that(size > 0, what)) return;
  Count first = 0, last = 0;
  for (int d = 0; d < kDims; ++d) {
    const Count way = Count(v.stride[d]) * (shape[d] - 1);
    if (!that(way.valid(), what)) return;
    if (way.value() < 0) first = first + way;
    else last = last + way;
  }
  span(raw(v.data), first, last, size, written, what);
}

bool Check::result_type(i64 type) {
  return that(type == kU8 || type == kI16 || type == kI32, "the type of the result");
}

void Check::requantization(const Requantization& r) {
  within(r.shift, 0, 63, "a shift");
  within(r.low, INT32_MIN, INT32_MAX, "a range");
  within(r.high, r.low, INT32_MAX, "a range");
}

void Check::sum(const Sum& s) {
  within(s.shift, 0, 63, "a shift");
  within(s.low, INT32_MIN, INT32_MAX, "a range");
  within(s.high, s.low, INT32_MAX, "a range");
}

void Check::apart(u64 a, u64 out, i64 a_bytes, i64 out_bytes) {
  if (!ok_ || a >> file::kSectionShift != file::kArena) return;
  const i64 from = static_cast<i64>(a & file::kOffset);
  const i64 to = static_cast<i64>(out & file::kOffset);
  that(from + a_bytes <= to || to + out_bytes <= from, "a copy onto itself");
}

}  // namespace iptq
