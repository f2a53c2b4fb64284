#include "run/bind.h"

#include <tuple>

namespace iptq {
namespace {

template <class Field>
void bind_field(Field& field, const Bases& bases) {
  if constexpr (std::is_array<Field>::value) {
    for (auto& element : field) bind_field(element, bases);
  } else if constexpr (IsAddress<Field>::value) {
    // Kernels write to none but results, which are in the arena.
    void* at = const_cast<u8*>(bases.at(raw(field)));
    __builtin_memset(&field, 0, sizeof field);
    __builtin_memcpy(&field, &at, sizeof at);
  } else if constexpr (std::is_class<Field>::value) {
    std::apply([&](auto&... part) { (bind_field(part, bases), ...); }, field.fields());
  }
}

}  // namespace

void bind_addresses(i64* command, const Bases& bases) {
  switch (static_cast<Kind>(*command)) {
#define IPTQ_BIND(Command) \
  case Kind::Command: return bind_field(*reinterpret_cast<Command*>(command), bases);
    IPTQ_COMMANDS(IPTQ_BIND)
#undef IPTQ_BIND
  }
}

}  // namespace iptq
