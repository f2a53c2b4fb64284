// Counts what an emulated program executes: a plugin of QEMU's user-mode emulators.
//
//   gcc -shared -fPIC -O2 -DPLUGIN_VERSION=1 count.c -o count.so
//   qemu-aarch64 -plugin ./count.so,at=PLACES -d plugin -D COUNTS PROGRAM
//
// COUNTS gets a line "instructions N". With at=PLACES, the file PLACES gets a line for each
// block of code: address, instructions of it, times executed.
//
// Distributions have the plugins' header in QEMU's sources only, so that the few functions
// used are declared here, as versions 1 and later have them.
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t Id;
struct qemu_plugin_tb;
enum { kNoRegisters = 0 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb*);
void qemu_plugin_register_vcpu_tb_trans_cb(Id, void (*)(Id, struct qemu_plugin_tb*));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb*,
                                          void (*)(unsigned, void*), int, void*);
void qemu_plugin_register_atexit_cb(Id, void (*)(Id, void*), void*);
void qemu_plugin_outs(const char*);

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

// A block of code that was translated, perhaps not for the first time.
struct Block {
  uint64_t at, size, times;
  struct Block* next;
};

static struct Block* blocks;
static char places[4096];

static void executed(unsigned cpu, void* block) {
  (void)cpu;
  __atomic_fetch_add(&((struct Block*)block)->times, 1, __ATOMIC_RELAXED);
}

static void translated(Id id, struct qemu_plugin_tb* tb) {
  (void)id;
  struct Block* block = calloc(1, sizeof *block);
  if (!block) abort();
  block->at = qemu_plugin_tb_vaddr(tb);
  block->size = qemu_plugin_tb_n_insns(tb);
  do block->next = __atomic_load_n(&blocks, __ATOMIC_RELAXED);
  while (!__sync_bool_compare_and_swap(&blocks, block->next, block));
  qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, kNoRegisters, block);
}

static void ended(Id id, void* unused) {
  (void)id, (void)unused;
  uint64_t all = 0;
  FILE* file = places[0] ? fopen(places, "w") : NULL;
  for (const struct Block* b = blocks; b; b = b->next) {
    all += b->size * b->times;
    if (file)
      fprintf(file, "%" PRIx64 " %" PRIu64 " %" PRIu64 "\n", b->at, b->size, b->times);
  }
  if (file) fclose(file);
  char line[64];
  snprintf(line, sizeof line, "instructions %" PRIu64 "\n", all);
  qemu_plugin_outs(line);
}

EXPORT int qemu_plugin_install(Id id, const void* info, int count, char** values) {
  (void)info;
  for (int i = 0; i < count; ++i) {
    if (strncmp(values[i], "at=", 3) || strlen(values[i] + 3) >= sizeof places) return -1;
    strcpy(places, values[i] + 3);
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
