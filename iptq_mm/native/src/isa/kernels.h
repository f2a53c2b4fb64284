// The kernels of one instruction set.
#pragma once

#include <atomic>

#include "commands.h"

namespace iptq {

struct Kernel {
  i64 (*tasks)(const void* command, i64 threads);
  i64 (*scratch)(const void* command);  // bytes that a thread wants
  void (*run)(const void* command, i64 task, i64 tasks, char* scratch);
};

using Kernels = const Kernel*;  // by Kind

#ifdef __wasm__
Kernels simd128_kernels();
#else
Kernels portable_kernels();
#endif
#ifdef IPTQ_ARM64
Kernels neon_kernels();
Kernels dotprod_kernels();
Kernels i8mm_kernels();
#endif
#ifdef IPTQ_X86
Kernels avx2_kernels();
#ifdef IPTQ_AVXVNNI
Kernels avxvnni_kernels();
#endif
Kernels avx512vnni_kernels();
#ifdef IPTQ_AMX
Kernels amx_kernels();
#endif

// Whether these may permute bytes (VBMI): tables of bytes are quicker then.
extern std::atomic<bool> permutes_bytes;
#endif

}  // namespace iptq
