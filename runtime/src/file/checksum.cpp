#include "file/checksum.h"

#include <cstring>

namespace iptq {
namespace {

// Eight bytes at a time: tables[k][b] is the effect of byte b with k bytes after it.
struct Tables {
  u32 of[8][256];

  Tables() {
    for (u32 b = 0; b < 256; ++b) {
      u32 crc = b;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
      of[0][b] = crc;
    }
    for (int k = 1; k < 8; ++k)
      for (int b = 0; b < 256; ++b)
        of[k][b] = of[k - 1][b] >> 8 ^ of[0][of[k - 1][b] & 255];
  }
};

}  // namespace

u32 crc32(const u8* data, u64 bytes) {
  static const Tables tables;
  const auto& of = tables.of;
  u32 crc = ~u32{0};
  for (; bytes >= 8; bytes -= 8, data += 8) {
    u32 low, high;  // little-endian, as the file
    std::memcpy(&low, data, 4);
    std::memcpy(&high, data + 4, 4);
    low ^= crc;
    crc = of[7][low & 255] ^ of[6][low >> 8 & 255] ^ of[5][low >> 16 & 255] ^
          of[4][low >> 24] ^ of[3][high & 255] ^ of[2][high >> 8 & 255] ^
          of[1][high >> 16 & 255] ^ of[0][high >> 24];
  }
  for (; bytes; --bytes, ++data) crc = crc >> 8 ^ of[0][(crc ^ *data) & 255];
  return ~crc;
}

}  // namespace iptq
