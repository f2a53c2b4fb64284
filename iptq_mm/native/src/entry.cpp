// The functions that Python calls (../library.py), besides those of layout.cpp.
#include "api.h"
#include "executor.h"

IPTQ_API const char* iptq_level_name(int level) { return iptq::level_name(level); }

IPTQ_API int iptq_level() { return iptq::current_level(); }

IPTQ_API int iptq_set_level(int level) { return iptq::use_level(level); }

// Runs the commands in order. `parallel` is GOMP_parallel, or null.
IPTQ_API void iptq_run(const void* const* commands, std::int64_t count,
                       std::int64_t threads, iptq::Parallel parallel) {
  iptq::execute(commands, count, threads, parallel);
}

// Has the CPU bring cache lines. Addresses may have become void.
IPTQ_API void iptq_prefetch(const void* const* lines, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) __builtin_prefetch(lines[i]);
}
