// Runs a list of commands on the process's pool of threads.
//
// Each command is a number of tasks that whoever is free takes. A thread goes on
// when all tasks of a command are done, not when all threads have arrived: one
// that the operating system holds back delays nobody between its tasks.
#include <sched.h>

#include <atomic>
#include <cstdlib>
#include <memory>

#include "executor.h"
#include "isa/kernels.h"

#ifdef IPTQ_X86
#include <immintrin.h>
#endif
#if defined(IPTQ_ARM64) && defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(IPTQ_AMX) || defined(IPTQ_AVXVNNI)
#include <cpuid.h>
#endif
#ifdef IPTQ_AMX
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace iptq {

#ifdef IPTQ_X86
std::atomic<bool> permutes_bytes{false};
#endif

namespace {

constexpr int kAlignment = 64;
constexpr int kSpins = 2000;  // about 20 microseconds, then the core is lent

constexpr i64 kMostShares = 8;

// Tasks of a command, in shares: a thread takes those of its own share first. It meets
// the rows again there that it made by the command before, and has them in its cache.
struct alignas(kAlignment) Progress {
  std::atomic<i64> next[kMostShares];
  std::atomic<i64> done{0};
  i64 tasks = 0;

  i64 start(i64 share, i64 shares) const { return tasks * share / shares; }
};

struct Release {
  void operator()(char* memory) const { std::free(memory); }
};

// Memory of a thread, kept between calls.
char* scratch(i64 bytes) {
  thread_local std::unique_ptr<char, Release> memory;
  thread_local i64 size = 0;
  if (bytes > size) {
    size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    memory.reset(static_cast<char*>(std::aligned_alloc(kAlignment, size)));
  }
  return memory.get();
}

void pause() {
#ifdef IPTQ_X86
  _mm_pause();
#endif
}

struct Run {
  Kernels kernels;
  const void* const* commands;
  i64 count, scratch_bytes, shares;
  Progress* progress;
  std::atomic<i64> arrived{0};

  // Runs what is left of all shares, from its own on; returns how much it did.
  i64 take(i64 command, i64 own, char* memory) {
    const Kernel& kernel = kernels[*static_cast<const i64*>(commands[command])];
    Progress& p = progress[command];
    i64 finished = 0;
    for (i64 i = 0; i < shares; ++i) {
      const i64 share = (own + i) % shares, end = p.start(share + 1, shares);
      std::atomic<i64>& next = p.next[share];
      if (next.load(std::memory_order_relaxed) >= end) continue;
      for (i64 t; (t = next.fetch_add(1, std::memory_order_relaxed)) < end; ++finished)
        kernel.run(commands[command], t, p.tasks, memory);
    }
    return finished;
  }

  void work() {
    char* memory = scratch(scratch_bytes);
    const i64 own = arrived.fetch_add(1, std::memory_order_relaxed) % shares;
    for (i64 i = 0; i < count; ++i) {
      Progress& p = progress[i];
      const i64 finished = take(i, own, memory);
      if (finished) p.done.fetch_add(finished, std::memory_order_release);
      for (int spins = 0; p.done.load(std::memory_order_acquire) < p.tasks; ++spins) {
        if (spins < kSpins) pause();
        else sched_yield();
      }
    }
  }
};

void work(void* run) { static_cast<Run*>(run)->work(); }

bool always() { return true; }

#ifdef IPTQ_X86
// Features of the CPU that the operating system lets programs use.
struct Features {
  bool avx2, avx512, vbmi;

  Features() {
    __builtin_cpu_init();
    avx2 = __builtin_cpu_supports("avx2");
    avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512vnni");
    vbmi = avx512 && __builtin_cpu_supports("avx512vbmi");
  }
};

bool has_avx2() { return Features().avx2; }
bool has_avx512() { return Features().avx512; }
bool has_vbmi() { return Features().vbmi; }
#endif

#ifdef IPTQ_AVXVNNI
// Compilers know the name of this feature since GCC 12 and Clang 17 only.
bool has_avxvnni() {
  constexpr unsigned kAvxVnni = 1u << 4;
  unsigned a = 0, b, c, d;
  return Features().avx2 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & kAvxVnni);
}
#endif

#ifdef IPTQ_AMX
// Whether the CPU has AMX with its products of bytes, and Linux lets the process use it:
// it has to be asked once, since threads need more room for their registers then.
bool has_amx() {
  constexpr unsigned kTiles = 1u << 24, kBytes = 1u << 25;
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  unsigned a, b, c, d = 0;
  if (!Features().vbmi || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  if (!(d & kTiles) || !(d & kBytes)) return false;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}
#endif

#ifdef IPTQ_ARM64
#ifdef __linux__
// From the kernel's headers, of which old ones do not have the second.
bool has_products() { return getauxval(AT_HWCAP) & 1ul << 20; }
bool has_matrices() { return has_products() && getauxval(AT_HWCAP2) & 1ul << 13; }
#else
bool has_products() { return false; }
bool has_matrices() { return false; }
#endif
#endif

struct Level {
  const char* name;
  Kernels (*kernels)();
  bool (*here)();  // whether this machine can run them
  bool permutes;
};

// In the order of their speed.
const Level kLevels[] = {
#if defined(__wasm_relaxed_simd__)
    {"simd128+relaxed", simd128_kernels, always, false},
#elif defined(__wasm__)
    {"simd128", simd128_kernels, always, false},
#else
    {"portable", portable_kernels, always, false},
#endif
#ifdef IPTQ_X86
    {"avx2", avx2_kernels, has_avx2, false},
#ifdef IPTQ_AVXVNNI
    {"avxvnni", avxvnni_kernels, has_avxvnni, false},
#endif
    {"avx512vnni", avx512vnni_kernels, has_avx512, false},
    {"avx512vnni+vbmi", avx512vnni_kernels, has_vbmi, true},
#endif
#ifdef IPTQ_AMX
    {"amx", amx_kernels, has_amx, true},
#endif
#ifdef IPTQ_ARM64
    {"neon", neon_kernels, always, false},
    {"dotprod", dotprod_kernels, has_products, false},
    {"i8mm", i8mm_kernels, has_matrices, false},
#endif
};
constexpr int kMostLevels = sizeof kLevels / sizeof *kLevels;

// The levels of this machine.
struct Available {
  const Level* level[kMostLevels];
  int count = 0;

  Available() {
    for (const Level& each : kLevels)
      if (each.here()) level[count++] = &each;
  }
};

const Available& available() {
  static const Available levels;
  return levels;
}

std::atomic<int> level{-1};

}  // namespace

const char* level_name(int level) {
  const Available& levels = available();
  return level >= 0 && level < levels.count ? levels.level[level]->name : nullptr;
}

int current_level() {
  if (level < 0) level = available().count - 1;
  return level;
}

int use_level(int wanted) {
  if (level_name(wanted)) level = wanted;
  return current_level();
}

i64 scratch_bytes(const void* command) {
  const Kernels kernels = available().level[current_level()]->kernels();
  return kernels[*static_cast<const i64*>(command)].scratch(command);
}

void execute(const void* const* commands, i64 count, i64 threads, Parallel parallel) {
  const Level& used = *available().level[current_level()];
  Kernels kernels = used.kernels();
#ifdef IPTQ_X86
  permutes_bytes.store(used.permutes, std::memory_order_relaxed);
#endif
  std::unique_ptr<Progress[]> progress(new Progress[count]);
  const i64 shares = threads < kMostShares ? threads : kMostShares;
  i64 bytes = 0, most = 1;
  for (i64 i = 0; i < count; ++i) {
    const Kernel& kernel = kernels[*static_cast<const i64*>(commands[i])];
    Progress& p = progress[i];
    p.tasks = kernel.tasks(commands[i], threads);
    for (i64 share = 0; share < shares; ++share) p.next[share] = p.start(share, shares);
    i64 wanted = kernel.scratch(commands[i]);
    bytes = wanted > bytes ? wanted : bytes;
    most = p.tasks > most ? p.tasks : most;
  }
  Run run{kernels, commands, count, bytes, shares, progress.get()};
  if (parallel && threads > 1 && most > 1)
    parallel(work, &run, static_cast<unsigned>(threads), 0);
  else
    run.work();
}

}  // namespace iptq
