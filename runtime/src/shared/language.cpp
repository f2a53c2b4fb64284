// What the compiler expects of C++'s library, for the shared library alone: with it, the
// library needs nothing but C's. All of it is hidden from the program around it.
#include <cstdlib>
#include <new>

// Small lists are all that is allocated this way; what a model wants is asked for by
// functions that can say that there is none.
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

namespace std {
const nothrow_t nothrow{};
[[noreturn]] void __throw_bad_alloc() { std::abort(); }
[[noreturn]] void __throw_length_error(const char*) { std::abort(); }
[[noreturn]] void __throw_bad_array_new_length() { std::abort(); }
}  // namespace std

extern "C" {
int __cxa_thread_atexit_impl(void (*destroy)(void*), void* object, void* module);
extern void* __dso_handle;

// Of the memory that each thread keeps.
int __cxa_thread_atexit(void (*destroy)(void*), void* object, void*) {
  return __cxa_thread_atexit_impl(destroy, object, &__dso_handle);
}

// Of tables that are made at first use. 0: to be made, 1: made; the second byte: it is
// being made.
int __cxa_guard_acquire(unsigned long long* guard) {
  unsigned char* state = reinterpret_cast<unsigned char*>(guard);
  if (__atomic_load_n(state, __ATOMIC_ACQUIRE)) return 0;
  while (__atomic_exchange_n(state + 1, 1, __ATOMIC_ACQUIRE))
    if (__atomic_load_n(state, __ATOMIC_ACQUIRE)) return 0;
  if (!__atomic_load_n(state, __ATOMIC_ACQUIRE)) return 1;
  __atomic_store_n(state + 1, 0, __ATOMIC_RELEASE);
  return 0;
}

void __cxa_guard_release(unsigned long long* guard) {
  unsigned char* state = reinterpret_cast<unsigned char*>(guard);
  __atomic_store_n(state, 1, __ATOMIC_RELEASE);
  __atomic_store_n(state + 1, 0, __ATOMIC_RELEASE);
}

// Where a call of no function would go.
void __cxa_pure_virtual() { std::abort(); }
}
