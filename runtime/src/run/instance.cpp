#include "run/instance.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "run/bind.h"
#include "error.h"

namespace iptq {
namespace {

// Zeros, so that what kernels read beyond buffers is the same in every run; null if there
// is no memory.
void* zeros(u64 bytes) {
  void* memory = nullptr;
  if (bytes > SIZE_MAX / 2 ||
      posix_memalign(&memory, file::kAlignment, static_cast<std::size_t>(bytes)))
    return nullptr;
  std::memset(memory, 0, static_cast<std::size_t>(bytes));
  return memory;
}

}  // namespace

std::unique_ptr<Instance> Instance::make(const Program& program, int threads) {
  std::unique_ptr<Instance> made(new (std::nothrow) Instance(threads));
  if (made && made->prepare(program)) return made;
  refuse("not enough memory: a call needs %llu bytes besides the file",
         static_cast<unsigned long long>(program.header.arena_bytes));
  return nullptr;
}

Instance::~Instance() {
  std::free(arena_);
  std::free(commands_);
}

bool Instance::prepare(const Program& program) {
  const file::Header& h = program.header;
  arena_ = static_cast<u8*>(zeros(h.arena_bytes + file::kTail));
  commands_ = static_cast<i64*>(zeros(h.commands_bytes + sizeof(i64)));
  if (!arena_ || !commands_) return false;
  const Bases bases{program.sections.constants, arena_};
  i64* at = commands_;
  for (const i64* command : program.commands) {
    const u64 bytes = command_bytes(*command);
    std::memcpy(at, command, static_cast<std::size_t>(bytes));
    bind_addresses(at, bases);
    list_.push_back(at);
    at += bytes / sizeof *at;
  }
  return true;
}

void Instance::run(const std::vector<const void*>& first,
                   const std::vector<const void*>& last) {
  std::vector<const void*> all(first);
  all.insert(all.end(), list_.begin(), list_.end());
  all.insert(all.end(), last.begin(), last.end());
  pool_.execute(all.data(), static_cast<i64>(all.size()));
}

}  // namespace iptq
