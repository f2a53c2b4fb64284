// How the structs and enumerations of the commands name their fields, so that layout.cpp
// can tell Python, which has them a second time, where each field lies.
#pragma once

#include <cstdint>
#include <tuple>

// At the end of a struct: its name and all its fields.
#define IPTQ_FIELDS(Struct, ...)                            \
  static constexpr const char* struct_name = #Struct;       \
  static constexpr const char* field_names = #__VA_ARGS__;  \
  auto fields() { return std::tie(__VA_ARGS__); }

// An enumeration of 64 bits whose values are 0, 1, 2, ...
#define IPTQ_ENUM(Name, ...)               \
  enum Name : std::int64_t { __VA_ARGS__ }; \
  constexpr const char* Name##_names = #__VA_ARGS__;
