// What went wrong, in words, by thread.
#pragma once

namespace iptq {

// Remembers a message (as printf makes it) and returns false.
bool refuse(const char* format, ...) __attribute__((format(printf, 1, 2)));

const char* last_error();

}  // namespace iptq
