#include "error.h"

#include <cstdarg>
#include <cstdio>

namespace iptq {
namespace {

thread_local char message[512] = "";

}  // namespace

bool refuse(const char* format, ...) {
  va_list values;
  va_start(values, format);
  std::vsnprintf(message, sizeof message, format, values);
  va_end(values);
  return false;
}

const char* last_error() { return message; }

}  // namespace iptq
