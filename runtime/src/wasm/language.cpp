// What the compiler expects of C++'s library, as ../shared/language.cpp has it for others:
// without that library the modules are smaller, and built in seconds.
#include "../shared/allocation.inl"

namespace std {
const nothrow_t nothrow{};
inline namespace __1 {
// Of lists that become too long.
[[noreturn]] void __libcpp_verbose_abort(const char*, ...) noexcept { std::abort(); }
}  // namespace __1
}  // namespace std

extern "C" {
// Memory that a thread keeps: there is one thread, and it ends with the module.
int __cxa_thread_atexit(void (*)(void*), void*, void*) { return 0; }
void __cxa_pure_virtual() { std::abort(); }
}
