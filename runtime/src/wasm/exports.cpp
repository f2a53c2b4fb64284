// What JavaScript (../../web/index.js) calls besides iptq.h: memory, and where the fields
// of a port lie.
#include <cstddef>
#include <cstdlib>

#include "iptq.h"

static_assert(sizeof(void*) == 4, "WebAssembly of 32 bits");
static_assert(offsetof(iptq_port, kind) == 4 && offsetof(iptq_port, integers) == 8 &&
                  offsetof(iptq_port, scale) == 16 && offsetof(iptq_port, low) == 24 &&
                  offsetof(iptq_port, high) == 32 && offsetof(iptq_port, rank) == 40 &&
                  offsetof(iptq_port, shape) == 48 &&
                  offsetof(iptq_port, elements) == 112 &&
                  offsetof(iptq_port, order) == 120 && offsetof(iptq_port, mean) == 124 &&
                  offsetof(iptq_port, std) == 128 && offsetof(iptq_port, channels) == 132,
              "web/index.js reads these");
static_assert(sizeof(iptq_array) == 12 && offsetof(iptq_array, data) == 4 &&
                  offsetof(iptq_array, bytes) == 8,
              "web/index.js writes these");

extern "C" {

// Memory at a multiple of 64 bytes, so that iptq_open_memory takes it as it is; null: none.
IPTQ_PUBLIC void* iptq_web_allocate(std::size_t bytes) {
  void* memory = nullptr;
  return posix_memalign(&memory, 64, bytes ? bytes : 1) ? nullptr : memory;
}

IPTQ_PUBLIC void iptq_web_free(void* memory) { std::free(memory); }
}
