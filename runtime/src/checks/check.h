// Checks of commands as they lie in a file, before anything runs: every number is in the
// range that its kernel takes, and nothing is read or written outside of the sections.
//
// A kernel may read kSlack bytes beyond what a command names; both sections have more
// than that after their ends. Tables that decide where a kernel reads or writes must be
// constants, since what is computed can change. Where a kernel looks up what was computed,
// it limits the index itself.
#pragma once

#include <type_traits>

#include "commands.h"
#include "file/format.h"

namespace iptq {

// The sections of a file.
struct Sections {
  const u8* constants;
  u64 constants_bytes, arena_bytes;
};

template <class T>
struct IsAddress : std::is_pointer<T> {};
#if UINTPTR_MAX != UINT64_MAX
template <class T>
struct IsAddress<Pointer<T>> : std::true_type {};
#endif

// An address as the file has it.
template <class Field>
inline u64 raw(const Field& field) {
  static_assert(sizeof(Field) == sizeof(u64), "an address has 64 bits");
  u64 value;
  __builtin_memcpy(&value, &field, sizeof value);
  return value;
}

inline i64 size_of(i64 type) {
  switch (type) {
    case kU8: case kI8: return 1;
    case kI16: return 2;
    case kI32: return 4;
    case kI64: return 8;
    default: return 0;
  }
}

// A number that overflows becomes void, and with it whatever is computed of it.
class Count {
 public:
  Count(i64 value) : value_(value) {}

  Count operator+(Count other) const {
    i64 sum;
    const bool bad = __builtin_add_overflow(value_, other.value_, &sum);
    return Count(sum, bad || bad_ || other.bad_);
  }
  Count operator*(Count other) const {
    i64 product;
    const bool bad = __builtin_mul_overflow(value_, other.value_, &product);
    return Count(product, bad || bad_ || other.bad_);
  }
  bool valid() const { return !bad_; }
  i64 value() const { return value_; }

 private:
  Count(i64 value, bool bad) : value_(value), bad_(bad) {}

  i64 value_;
  bool bad_ = false;
};

class Check {
 public:
  Check(const Sections& sections, i64 number, const char* name)
      : sections_(sections), number_(number), name_(name) {}

  // Whether all was well so far; otherwise there is a message.
  bool ok() const { return ok_; }

  bool that(bool condition, const char* what);
  // A number in low..high.
  bool within(i64 value, i64 low, i64 high, const char* what);
  // A size or a distance: 1.. or 0.. to 2**40.
  bool size(i64 value, const char* what) { return within(value, 1, kMost, what); }
  // A size that others are multiplied by: 64 bits hold all products.
  bool extent(i64 value, const char* what) {
    return within(value, 1, i64{1} << 24, what);
  }
  bool distance(i64 value, const char* what) { return within(value, 0, kMost, what); }
  bool flag(i64 value, const char* what) { return within(value, 0, 1, what); }

  // Memory from `first` to `last` elements of `size` bytes from an address on.
  void reads(u64 address, Count first, Count last, i64 size, const char* what) {
    span(address, first, last, size, false, what);
  }
  void reads(u64 address, Count elements, i64 size, const char* what) {
    span(address, 0, elements + -1, size, false, what);
  }
  void writes(u64 address, Count first, Count last, i64 size, const char* what) {
    span(address, first, last, size, true, what);
  }

  // A table of constants; null, with a message, if there is none.
  template <class T>
  const T* table(u64 address, Count elements, const char* what) {
    if (!that(address >> file::kSectionShift == file::kConstants, what)) return nullptr;
    reads(address, elements, sizeof(T), what);
    if (!ok_) return nullptr;
    return reinterpret_cast<const T*>(sections_.constants + (address & file::kOffset));
  }

  // The largest of a table of places; all are in least..2**40.
  template <class T>
  i64 largest(u64 address, i64 count, i64 least, const char* what) {
    const T* at = table<T>(address, count, what);
    i64 most = least;
    for (i64 i = 0; at && i < count; ++i) {
      if (!within(at[i], least, kMost, what)) return least;
      most = at[i] > most ? at[i] : most;
    }
    return most;
  }

  // A table whose entries all are in low..high.
  template <class T>
  void entries(u64 address, i64 count, i64 low, i64 high, const char* what) {
    const T* at = table<T>(address, count, what);
    for (i64 i = 0; at && i < count; ++i)
      if (!within(at[i], low, high, what)) return;
  }

  // Elements of a view along a shape; `size` bytes each, or 0: as its type says.
  void view(const View& view, const i64* shape, i64 size, bool written, const char* what);
  bool shape(const i64* shape);
  // A type that results are stored in.
  bool result_type(i64 type);
  void requantization(const Requantization& r);
  void sum(const Sum& s);
  // Copies of memory that overlaps are void.
  void apart(u64 a, u64 out, i64 a_bytes, i64 out_bytes);

  static constexpr i64 kMost = i64{1} << 40;

 private:
  void span(u64 address, Count first, Count last, i64 size, bool written,
            const char* what);

  const Sections& sections_;
  const i64 number_;
  const char* name_;
  bool ok_ = true;
};

void check(Check& c, const Gemm& g);
void check(Check& c, const Attention& a);
void check(Check& c, const LayerNorm& n);
void check(Check& c, const Add& a);
void check(Check& c, const Multiply& m);
void check(Check& c, const Lookup& l);
void check(Check& c, const Copy& m);
void check(Check& c, const Gather& g);
void check(Check& c, const Mean& m);
void check(Check& c, const SoftmaxRows& s);
void check(Check& c, const MatMul& m);
void check(Check& c, const Softmax& s);

}  // namespace iptq
