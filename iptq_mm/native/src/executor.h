// Runs commands, and chooses the instruction set. Both Python (entry.cpp) and the runtime
// library (runtime/) stand on this.
#pragma once

#include "commands.h"

namespace iptq {

// Runs a body on a number of threads, the caller's among them, and returns when all are
// done: GOMP_parallel, or that of another pool.
using Body = void (*)(void*);
using Parallel = void (*)(Body, void*, unsigned threads, unsigned flags);

// Name of an instruction set that this CPU has, by level; null beyond the best.
const char* level_name(int level);

int current_level();

// Use another level; returns the one in use from now on.
int use_level(int level);

// Bytes that each thread wants for a command.
i64 scratch_bytes(const void* command);

// Runs the commands in order; without `parallel` on this thread alone.
void execute(const void* const* commands, i64 count, i64 threads, Parallel parallel);

}  // namespace iptq
