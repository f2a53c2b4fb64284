// The file of a compiled program, as docs/reference/iptq-file.md describes it.
#pragma once

#include "commands.h"

namespace iptq {
namespace file {

constexpr u8 kMagic[8] = {0x89, 'I', 'P', 'T', 'Q', '\r', '\n', 0x1a};
// Raised whenever a field of the file or of a command changes: older libraries refuse
// newer files, and the other way round.
constexpr u32 kVersion = 4;
constexpr u32 kHeaderBytes = 128;
constexpr u64 kChecksumFrom = 32;  // what stands before is checked by itself
constexpr u64 kAlignment = 64;
constexpr u64 kTail = 256;  // zeros at the end of the constants: kernels read beyond
constexpr int kMostDimensions = 8;

// An address: the section in the highest byte, below it the offset. 0 is null.
constexpr int kSectionShift = 56;
constexpr u64 kOffset = (u64{1} << kSectionShift) - 1;
enum Section : u64 { kNull = 0, kConstants = 1, kArena = 2 };

struct Header {
  u8 magic[8];
  u32 version;
  u32 header_bytes;
  u64 file_bytes;
  u32 checksum;      // CRC-32 of everything from kChecksumFrom on
  u32 reserved;
  u64 arena_bytes;
  u64 ports_at;      // inputs, then outputs
  u32 inputs, outputs;
  u64 commands_at, commands_bytes, commands;
  u64 texts_at, texts_bytes;  // each ends with a zero byte; the first is the name
  u64 constants_at, constants_bytes;
  u64 zeros[2];
};
static_assert(sizeof(Header) == kHeaderBytes, "the header has no gaps");

struct Port {
  u64 name;            // offset in the texts
  i64 kind;            // an iptq_kind
  i64 code_type, zero_point;  // of the codes in the arena
  u64 codes;           // their address
  i64 integer_type;    // of the integers that a caller sees
  i64 low, high;
  double scale;
  i64 rank;
  i64 shape[kMostDimensions];
  i64 marked;          // pixels: whether a channel of marks follows in the arena
  i64 channels;        // of an image; 0: none
  u64 order;           // offset in the texts
  u64 look;            // address of mean and std by channel; null: no image
  u64 restoring;       // pixels: address of factor and shift by channel; else null
};
static_assert(sizeof(Port) == 23 * 8, "a port has no gaps");

}  // namespace file
}  // namespace iptq
