#include "file/reader.h"

#include <cstring>

#include "file/checksum.h"
#include "error.h"
#include "executor.h"

namespace iptq {
namespace {

using file::Header;

constexpr const char* kRemedy = "export the model again";
// Memory that a model may want: more is damage, or nothing for this library.
constexpr u64 kMostMemory = sizeof(void*) == 8 ? u64{1} << 40 : u64{1} << 30;

// Whether `bytes` from `at` on lie within the file, behind the header.
bool inside(const Header& h, u64 at, u64 bytes, u64 alignment) {
  return at % alignment == 0 && at >= sizeof(Header) && at <= h.file_bytes &&
         bytes <= h.file_bytes - at;
}

bool read_header(const Contents& contents, Header& h) {
  const u8* data = contents.data();
  const u64 bytes = contents.bytes();
  if (bytes < sizeof(Header))
    return refuse("%llu bytes are no .iptq file: %s",
                  static_cast<unsigned long long>(bytes), kRemedy);
  std::memcpy(&h, data, sizeof h);
  if (std::memcmp(h.magic, file::kMagic, 4))
    return refuse("no .iptq file: tools/export.py --out model.iptq writes one");
  if (std::memcmp(h.magic, file::kMagic, sizeof h.magic))
    return refuse("the file was changed on its way, as text: copy it as binary data");
  if (h.version != file::kVersion)
    return refuse(
        "the file has format %u, this library reads format %u: export the model with "
        "the version of iptq_mm that the library is of",
        h.version, file::kVersion);
  if (h.header_bytes != sizeof(Header)) return refuse("a damaged header: %s", kRemedy);
  if (h.file_bytes != bytes)
    return refuse("the file has %llu bytes, and should have %llu: copy it again",
                  static_cast<unsigned long long>(bytes),
                  static_cast<unsigned long long>(h.file_bytes));
  if (crc32(data + file::kChecksumFrom, bytes - file::kChecksumFrom) != h.checksum)
    return refuse("the checksum is wrong, the file is damaged: copy it again");
  return true;
}

bool check_sections(const Header& h) {
  const u64 ports = (u64{h.inputs} + h.outputs) * sizeof(file::Port);
  const bool sound =
      h.reserved == 0 && h.zeros[0] == 0 && h.zeros[1] == 0 && h.inputs > 0 &&
      h.outputs > 0 && h.inputs <= 4096 && h.outputs <= 4096 &&
      inside(h, h.ports_at, ports, 8) && inside(h, h.commands_at, h.commands_bytes, 8) &&
      inside(h, h.texts_at, h.texts_bytes, 1) && h.texts_bytes > 0 &&
      h.constants_bytes <= h.file_bytes &&
      inside(h, h.constants_at, h.constants_bytes + file::kTail, file::kAlignment);
  if (!sound) return refuse("the parts of the file do not fit together: %s", kRemedy);
  if (h.arena_bytes > kMostMemory || h.arena_bytes > u64{1} << 40)
    return refuse("the model wants %llu bytes of memory, which no model does: %s",
                  static_cast<unsigned long long>(h.arena_bytes), kRemedy);
  return true;
}

template <class Command>
bool check_command(const Sections& sections, const i64* at, i64 number,
                   const char* name) {
  const Command& command = *reinterpret_cast<const Command*>(at);
  Check c(sections, number, name);
  check(c, command);
  return c.ok();
}

// The kinds of commands that files have: those between integers.
#define IPTQ_FILED(X) \
  X(Gemm)             \
  X(Attention)        \
  X(LayerNorm)        \
  X(Add)              \
  X(Multiply)         \
  X(Lookup)           \
  X(Copy)             \
  X(Gather)           \
  X(Mean)             \
  X(SoftmaxRows)      \
  X(MatMul)

bool check_any(const Sections& sections, const i64* at, i64 number) {
  switch (static_cast<Kind>(*at)) {
#define IPTQ_CHECK(Command) \
  case Kind::Command: return check_command<Command>(sections, at, number, #Command);
    IPTQ_FILED(IPTQ_CHECK)
#undef IPTQ_CHECK
    default: return false;
  }
}

bool read_commands(const u8* data, Program& program) {
  const Header& h = program.header;
  const u8* at = data + h.commands_at;
  u64 left = h.commands_bytes;
  for (u64 number = 0; number < h.commands; ++number) {
    i64 kind = -1;
    if (left >= sizeof kind) std::memcpy(&kind, at, sizeof kind);
    const u64 bytes = command_bytes(kind);
    if (!bytes || bytes > left)
      return refuse("command %llu is none: %s", static_cast<unsigned long long>(number),
                    kRemedy);
    const i64* command = reinterpret_cast<const i64*>(at);
    if (!check_any(program.sections, command, static_cast<i64>(number))) return false;
    program.commands.push_back(command);
    at += bytes;
    left -= bytes;
  }
  return left == 0 || refuse("bytes without meaning after the commands: %s", kRemedy);
}

bool check_text(const Program& program, u64 at) {
  return at < program.header.texts_bytes;
}

bool check_port(const Program& program, const file::Port& p, bool input) {
  Check c(program.sections, -1, input ? "an input" : "an output");
  c.that(check_text(program, p.name) && check_text(program, p.order), "a text");
  c.within(p.kind, 0, input ? 2 : 0, "the kind");
  c.within(p.integer_type, kI8, kI32, "the type");
  c.within(p.code_type, kU8, kI32, "the type");
  c.that(input || (p.code_type == p.integer_type && p.zero_point == 0), "the type");
  c.within(p.zero_point, INT16_MIN, INT16_MAX, "the zero point");
  c.within(p.low, INT32_MIN, 0, "the range");
  c.within(p.high, 0, INT32_MAX, "the range");
  c.that(p.scale > 0 && p.scale < 1e300, "the scale");
  c.within(p.rank, 0, file::kMostDimensions, "the shape");
  c.flag(p.marked, "marks");
  c.within(p.channels, 0, 1 << 16, "the channels");
  if (!c.ok()) return false;
  Count all = 1;
  for (int d = 0; d < file::kMostDimensions; ++d) {
    c.within(p.shape[d], d < p.rank ? 1 : 0, d < p.rank ? Check::kMost : 0, "the shape");
    if (d < p.rank) all = all * p.shape[d];
  }
  if (!c.that(all.valid() && all.value() <= Check::kMost, "the shape")) return false;
  const bool pixels = p.kind == 1;
  const bool image = pixels || p.look;
  c.that(!image || (p.rank == 4 && p.channels == p.shape[1]), "the shape of images");
  c.that(pixels || !p.marked, "marks");
  if (!c.ok()) return false;
  const Count codes =
      p.marked ? Count(p.shape[0]) * (p.shape[1] + 1) * p.shape[2] * p.shape[3] : all;
  c.writes(p.codes, 0, codes + -1, size_of(p.code_type), "where integers go");
  if (image) c.table<double>(p.look, p.channels * 2, "how images look");
  if (pixels) c.table<double>(p.restoring, p.channels * 2, "how pixels are restored");
  return c.ok();
}

}  // namespace

u64 command_bytes(i64 kind) {
  switch (static_cast<Kind>(kind)) {
#define IPTQ_BYTES(Command) \
  case Kind::Command: return sizeof(Command);
    IPTQ_FILED(IPTQ_BYTES)
#undef IPTQ_BYTES
    default: return 0;
  }
}

bool read_program(const Contents& contents, Program& program) {
  Header& h = program.header;
  if (!read_header(contents, h) || !check_sections(h)) return false;
  const u8* data = contents.data();
  program.sections = {data + h.constants_at, h.constants_bytes, h.arena_bytes};
  program.ports = reinterpret_cast<const file::Port*>(data + h.ports_at);
  program.texts = reinterpret_cast<const char*>(data + h.texts_at);
  if (program.texts[h.texts_bytes - 1] != 0)
    return refuse("the last text has no end: %s", kRemedy);
  for (u64 i = 0; i < u64{h.inputs} + h.outputs; ++i)
    if (!check_port(program, program.ports[i], i < h.inputs)) return false;
  return read_commands(data, program);
}

}  // namespace iptq
