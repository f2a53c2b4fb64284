// A command of a file with the addresses of this process.
#pragma once

#include "checks/check.h"

namespace iptq {

// Where the sections lie now.
struct Bases {
  const u8* constants;
  u8* arena;

  const u8* at(u64 address) const {
    const u64 offset = address & file::kOffset;
    switch (address >> file::kSectionShift) {
      case file::kConstants: return constants + offset;
      case file::kArena: return arena + offset;
      default: return nullptr;
    }
  }
};

// Replaces the addresses of a command, which was checked and copied from a file.
void bind_addresses(i64* command, const Bases& bases);

}  // namespace iptq
