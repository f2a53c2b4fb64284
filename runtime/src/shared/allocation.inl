// How lists of C++ get memory without C++'s library: language.cpp of each target has it.
// Small lists are all that is allocated this way; what a model wants is asked for by
// functions that can say that there is none.
#include <cstdlib>
#include <new>

void* operator new(std::size_t bytes) {
  void* memory = std::malloc(bytes ? bytes : 1);
  if (!memory) std::abort();
  return memory;
}

void* operator new[](std::size_t bytes) { return operator new(bytes); }

void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return std::malloc(bytes ? bytes : 1);
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

// Aligned: the executor's counters of tasks.
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  void* memory = nullptr;
  if (posix_memalign(&memory, static_cast<std::size_t>(alignment), bytes ? bytes : 1))
    std::abort();
  return memory;
}

void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
