#include "run/border.h"

#include <cstring>
#include <limits>

#include "error.h"

namespace iptq {
namespace {

constexpr i64 kCentre = 128;
constexpr i64 kMark = 4;  // MARK of iptq_mm/pixels.py

const char* type_name(i64 type) {
  switch (type) {
    case kU8: return "uint8";
    case kI8: return "int8";
    case kI16: return "int16";
    case kI32: return "int32";
    case kF32: return "float32";
    default: return "an unknown type";
  }
}

i64 bytes_of(i64 type) { return type == kF32 ? 4 : size_of(type); }

bool fits(const iptq_port& port, const iptq_array& array) {
  if (!array.data) return refuse("%s: no memory was given", port.name);
  const u64 wanted = static_cast<u64>(port.elements) * bytes_of(array.type);
  if (array.bytes != wanted)
    return refuse("%s: %llu bytes were given; %lld elements of %s have %llu", port.name,
                  static_cast<unsigned long long>(array.bytes),
                  static_cast<long long>(port.elements), type_name(array.type),
                  static_cast<unsigned long long>(wanted));
  if (reinterpret_cast<std::uintptr_t>(array.data) % bytes_of(array.type))
    return refuse("%s: the memory is not aligned for %s", port.name,
                  type_name(array.type));
  return true;
}

bool all_finite(const iptq_port& port, const float* x) {
  u32 most = 0;
  for (i64 i = 0; i < port.elements; ++i) {
    u32 bits;
    std::memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7FFFFFFF;
    most = bits > most ? bits : most;
  }
  return most < 0x7F800000 || refuse("%s has a number that is not finite", port.name);
}

template <class T>
bool all_within(const iptq_port& port, const void* data) {
  const T* x = static_cast<const T*>(data);
  using Limits = std::numeric_limits<T>;
  if (port.low <= Limits::min() && port.high >= Limits::max()) return true;
  for (i64 i = 0; i < port.elements; ++i)
    if (x[i] < port.low || x[i] > port.high)
      return refuse("%s: %lld is not in %lld..%lld", port.name,
                    static_cast<long long>(x[i]), static_cast<long long>(port.low),
                    static_cast<long long>(port.high));
  return true;
}

bool allowed(const iptq_port& port, const iptq_array& array) {
  const bool real = array.type == IPTQ_FLOAT32 && port.kind != IPTQ_GIVEN;
  const bool pixels = array.type == IPTQ_UINT8 && port.kind == IPTQ_PIXELS;
  if (!real && !pixels && array.type != port.integers) {
    const char* other = port.kind == IPTQ_PIXELS  ? "uint8, float32 or "
                        : port.kind == IPTQ_REAL ? "float32 or "
                                                 : "";
    return refuse("%s takes %s%s, not %s", port.name, other, type_name(port.integers),
                  type_name(array.type));
  }
  if (!fits(port, array)) return false;
  switch (array.type) {
    case IPTQ_FLOAT32: return all_finite(port, static_cast<const float*>(array.data));
    case IPTQ_INT8: return all_within<i8>(port, array.data);
    case IPTQ_INT16: return all_within<i16>(port, array.data);
    case IPTQ_INT32: return all_within<i32>(port, array.data);
    default: return true;
  }
}

// The channel of marks after those of an image: kMark where it was padded, which floats
// say by zeros in all channels.
void mark(const file::Port& record, const iptq_array& array, i64 image, u8* codes) {
  const i64 channels = record.shape[1], plane = record.shape[2] * record.shape[3];
  const float* x = array.type == IPTQ_FLOAT32
                       ? static_cast<const float*>(array.data) + image * channels * plane
                       : nullptr;
  for (i64 i = 0; i < plane; ++i) {
    bool padded = x != nullptr;
    for (i64 c = 0; padded && c < channels; ++c) padded = x[c * plane + i] == 0;
    const i64 code = (padded ? kMark : 0) + record.zero_point;
    if (size_of(record.code_type) == 1) codes[i] = static_cast<u8>(code);
    else if (record.code_type == kI16) reinterpret_cast<i16*>(codes)[i] = static_cast<i16>(code);
    else reinterpret_cast<i32*>(codes)[i] = static_cast<i32>(code);
  }
}

Quantize conversion(const iptq_port& port, const file::Port& record,
                    const Sections& sections, const iptq_array& array, u8* out) {
  Quantize made{};
  made.kind = static_cast<i64>(Kind::Quantize);
  made.count = port.elements;
  made.x = array.data;
  made.x_type = array.type;
  made.x_zero_point = array.type == IPTQ_UINT8 ? kCentre : 0;
  made.out = out;
  made.out_type = record.code_type;
  made.out_zero_point = record.zero_point;
  if (array.type != IPTQ_FLOAT32) return made;
  made.scale = record.scale;
  made.low = record.low;
  made.high = record.high;
  if (port.kind != IPTQ_PIXELS) return made;
  const u8* at = sections.constants + (record.restoring & file::kOffset);
  made.factor = reinterpret_cast<const double*>(at);
  made.shift = reinterpret_cast<const double*>(at) + record.channels;
  made.channels = record.channels;
  made.plane = record.shape[2] * record.shape[3];
  return made;
}

}  // namespace

bool Border::enter(const iptq_port& port, const file::Port& record,
                   const Sections& sections, const iptq_array& array,
                   const Instance& instance) {
  if (!allowed(port, array)) return false;
  u8* out = instance.at(record.codes);
  if (!record.marked) {
    enter_.push_back(conversion(port, record, sections, array, out));
    return true;
  }
  if (array.type == port.integers)
    return refuse("%s takes uint8 or float32: integers would need a channel of marks",
                  port.name);
  const i64 images = record.shape[0], image = port.elements / images;
  const i64 plane = record.shape[2] * record.shape[3], size = size_of(record.code_type);
  for (i64 i = 0; i < images; ++i) {
    iptq_array one = array;
    one.data = static_cast<u8*>(array.data) + i * image * bytes_of(array.type);
    Quantize made = conversion(port, record, sections, one, out);
    made.count = image;
    enter_.push_back(made);
    mark(record, array, i, out + image * size);
    out += (image + plane) * size;
  }
  return true;
}

bool Border::leave(const iptq_port& port, const file::Port& record,
                   const iptq_array& array, const Instance& instance) {
  if (array.type != IPTQ_FLOAT32 && array.type != port.integers)
    return refuse("%s gives float32 or %s, not %s", port.name, type_name(port.integers),
                  type_name(array.type));
  if (!fits(port, array)) return false;
  u8* codes = instance.at(record.codes);
  if (array.type != IPTQ_FLOAT32) {
    moves_.push_back({array.data, codes, array.bytes});
    return true;
  }
  Dequantize made{};
  made.kind = static_cast<i64>(Kind::Dequantize);
  made.count = port.elements;
  made.x = codes;
  made.x_type = record.code_type;
  made.scale = record.scale;
  made.out = static_cast<float*>(array.data);
  leave_.push_back(made);
  return true;
}

std::vector<const void*> Border::entering() const {
  std::vector<const void*> list;
  for (const Quantize& command : enter_) list.push_back(&command);
  return list;
}

std::vector<const void*> Border::leaving() const {
  std::vector<const void*> list;
  for (const Dequantize& command : leave_) list.push_back(&command);
  return list;
}

void Border::copy_integers() const {
  for (const Move& move : moves_) std::memcpy(move.to, move.from, move.bytes);
}

}  // namespace iptq
