// Describes the commands to Python: names, offsets and types of all fields, values of the
// enumerations and constants, and the sources that the library was made of.
#include <sstream>
#include <string>
#include <type_traits>

#include "api.h"
#include "commands.h"

namespace iptq {
namespace {

// The next name of a list "a, b, c"; what is left stays in the list.
std::string next_name(std::string& names) {
  const std::size_t comma = names.find(',');
  const std::string name = names.substr(0, comma);
  const std::size_t rest = names.find_first_not_of(' ', comma + 1);
  names = comma == std::string::npos ? "" : names.substr(rest);
  return name;
}

template <class T>
std::string type_name() {
  if constexpr (std::is_array_v<T>) {
    using Element = std::remove_extent_t<T>;
    return type_name<Element>() + "[" + std::to_string(std::extent_v<T>) + "]";
  } else if constexpr (std::is_pointer_v<T>) {
    return "pointer";
  } else if constexpr (std::is_same_v<T, i64>) {
    return "i64";
  } else if constexpr (std::is_same_v<T, double>) {
    return "f64";
  } else {
    return T::struct_name;
  }
}

// A line for each field, "Struct.field offset type", and one for the size.
template <class Struct, class... Types>
void describe_fields(std::ostream& out, Struct& made, std::tuple<Types&...> fields) {
  static_assert((sizeof(Types) + ...) == sizeof(Struct), "IPTQ_FIELDS lacks a field");
  std::string names = Struct::field_names;
  const char* begin = reinterpret_cast<const char*>(&made);
  const auto line = [&](const auto& field) {
    using Type = std::remove_const_t<std::remove_reference_t<decltype(field)>>;
    out << Struct::struct_name << '.' << next_name(names) << ' '
        << reinterpret_cast<const char*>(&field) - begin << ' ' << type_name<Type>()
        << '\n';
  };
  std::apply([&](const auto&... field) { (line(field), ...); }, fields);
  out << Struct::struct_name << ' ' << sizeof(Struct) << '\n';
}

template <class Struct>
void describe(std::ostream& out) {
  Struct made{};
  describe_fields(out, made, made.fields());
}

// A line for each value, "Enumeration.name value", names without their k.
void describe(std::ostream& out, const char* enumeration, std::string names) {
  for (int value = 0; !names.empty(); ++value)
    out << enumeration << '.' << next_name(names).substr(1) << ' ' << value << '\n';
}

std::string description() {
  std::ostringstream out;
#define IPTQ_DESCRIBE(Command)                                                  \
  describe<Command>(out);                                                       \
  out << "Kind." #Command " " << static_cast<i64>(Kind::Command) << '\n';
  IPTQ_COMMANDS(IPTQ_DESCRIBE)
#undef IPTQ_DESCRIBE
  describe<Requantization>(out);
  describe<Sum>(out);
  describe<Interpolation>(out);
  describe<Window>(out);
  describe<ScoreAddition>(out);
  describe<Softmax>(out);
  describe<View>(out);
  describe(out, "Type", Type_names);
  describe(out, "Post", Post_names);
  describe(out, "Norm", Norm_names);
  describe(out, "Exponential", Exponential_names);
  out << "DIMS " << kDims << "\nLANES " << kLanes << "\nADDITIONS " << kAdditions
      << "\nSLACK " << kSlack << '\n';
  return out.str();
}

}  // namespace
}  // namespace iptq

// Lines of a name and what it stands for; see iptq_mm/native/layout.py.
IPTQ_API const char* iptq_layout() {
  static const std::string text = iptq::description();
  return text.c_str();
}

// signature() of build.py when the library was compiled.
IPTQ_API const char* iptq_signature() { return IPTQ_SIGNATURE; }
