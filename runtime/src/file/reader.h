// Reads a file that may be damaged or hostile: it is whole and sound, or refused.
#pragma once

#include <vector>

#include "checks/check.h"
#include "file/contents.h"
#include "file/format.h"

namespace iptq {

// A file that was checked.
struct Program {
  file::Header header;
  Sections sections;
  const file::Port* ports;      // inputs, then outputs
  const char* texts;
  std::vector<const i64*> commands;  // as they lie in the file
};

// Returns false, with a message, if there is anything wrong.
bool read_program(const Contents& contents, Program& program);

// Bytes of a command of a kind; 0: files have none of that kind.
u64 command_bytes(i64 kind);

}  // namespace iptq
