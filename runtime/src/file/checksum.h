// CRC-32 as zlib, gzip and PNG have it.
#pragma once

#include "commands.h"

namespace iptq {

u32 crc32(const u8* data, u64 bytes);

}  // namespace iptq
