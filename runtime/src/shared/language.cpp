// What the compiler expects of C++'s library, for the shared library alone: with it, the
// library needs nothing but C's. All of it is hidden from the program around it.
#include "allocation.inl"

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
