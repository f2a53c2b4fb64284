// Opens model files that were changed at random, and runs those that are accepted.
//
//   iptq-fuzz FILES SEED MODEL.iptq ...
//
// A process of its own runs them, so that one without end ends nothing else. Build it with
// -DIPTQ_FUZZ=ON -DIPTQ_SANITIZE=address,undefined: sanitizers end it where something is
// read or written that should not be.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "file/checksum.h"
#include "file/format.h"
#include "iptq.h"

using namespace iptq;

namespace {

using Bytes = std::vector<unsigned char>;
constexpr unsigned kSeconds = 1;  // of a run
constexpr size_t kMostMemory = size_t{64} << 20;

struct Mutator {
  std::mt19937_64 random;

  u64 below(u64 n) { return random() % n; }

  u64 number() {
    static const u64 kind[] = {0,          1,          2,         16,        63,
                               64,         255,        256,       32767,     65536,
                               ~u64{0},    u64{1} << 31, u64{1} << 32, u64{1} << 40,
                               u64{1} << 56, u64{2} << 56, u64{1} << 63};
    const u64 pick = kind[below(sizeof kind / sizeof *kind)];
    return below(3) ? pick : pick + below(65) - 32;
  }

  // Changes in places: numbers of 64 bits, mostly those of commands and ports.
  void change(Bytes& b, u64 head) {
    const u64 end = below(8) ? head : b.size();
    const u64 at = below(end - 8);
    switch (below(6)) {
      case 0: b[at] ^= static_cast<unsigned char>(1u << below(8)); break;
      case 1: b[at] = static_cast<unsigned char>(below(256)); break;
      case 2: case 3: {
        const u64 value = number();
        std::memcpy(&b[at / 8 * 8], &value, 8);
        break;
      }
      case 4: {  // a little more or less
        u64 value;
        std::memcpy(&value, &b[at / 8 * 8], 8);
        value += below(129) - 64;
        std::memcpy(&b[at / 8 * 8], &value, 8);
        break;
      }
      default: {  // a number from elsewhere
        const u64 from = below(end - 8) / 8 * 8;
        std::memmove(&b[at / 8 * 8], &b[from], 8);
      }
    }
  }

  Bytes mutated(const Bytes& seed, u64 head) {
    Bytes b = seed;
    for (u64 i = 1 + below(4); i; --i) change(b, head);
    if (!below(20)) b.resize(below(b.size()));
    if (!below(50)) b.resize(b.size() + below(300));
    const bool repaired = below(2) && b.size() >= sizeof(file::Header);
    if (!repaired) return b;
    std::memcpy(b.data(), seed.data(), file::kChecksumFrom);
    const u64 size = b.size();
    std::memcpy(&b[16], &size, 8);
    const u32 sum = crc32(&b[file::kChecksumFrom], size - file::kChecksumFrom);
    std::memcpy(&b[24], &sum, 4);
    return b;
  }
};

void predict(iptq_model* model) {
  std::vector<std::vector<int64_t>> memory;
  std::vector<iptq_array> in, out;
  const auto room = [&](const iptq_port& port, std::vector<iptq_array>& to) {
    const size_t size = port.integers == IPTQ_INT32 ? 4 : port.integers == IPTQ_INT16 ? 2 : 1;
    const size_t bytes = size * static_cast<size_t>(port.elements);
    memory.emplace_back(bytes / 8 + 1);
    to.push_back({port.integers, memory.back().data(), bytes});
  };
  for (size_t i = 0; i < iptq_inputs(model); ++i) room(*iptq_input(model, i), in);
  for (size_t i = 0; i < iptq_outputs(model); ++i) room(*iptq_output(model, i), out);
  iptq_predict(model, in.data(), in.size(), out.data(), out.size());
}

bool small(const iptq_model* model) {
  u64 all = iptq_working_memory(model);
  for (size_t i = 0; i < iptq_inputs(model); ++i)
    all += 4 * static_cast<u64>(iptq_input(model, i)->elements);
  for (size_t i = 0; i < iptq_outputs(model); ++i)
    all += 4 * static_cast<u64>(iptq_output(model, i)->elements);
  return all < kMostMemory;
}

}  // namespace

int main(int count, char** values) {
  if (count < 4) return std::fprintf(stderr, "iptq-fuzz FILES SEED MODEL ...\n"), 2;
  const long files = std::atol(values[1]);
  Mutator mutator{std::mt19937_64(std::strtoull(values[2], nullptr, 10))};
  std::vector<Bytes> seeds;
  for (int i = 3; i < count; ++i) {
    std::ifstream file(values[i], std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file),
                       std::istreambuf_iterator<char>());
    if (seeds.back().size() < sizeof(file::Header)) return std::perror(values[i]), 2;
  }
  std::vector<const char*> levels;
  for (int i = 0; iptq_instruction_set(i); ++i) levels.push_back(iptq_instruction_set(i));
  long accepted = 0, ran = 0, endless = 0, damaged = 0, checked = 0;
  for (long n = 0; n < files; ++n) {
    const Bytes& seed = seeds[mutator.below(seeds.size())];
    file::Header header;
    std::memcpy(&header, seed.data(), sizeof header);
    const Bytes bytes = mutator.mutated(seed, header.texts_at);
    iptq_use_instruction_set(levels[mutator.below(levels.size())]);
    iptq_model* model = iptq_open_memory(bytes.data(), bytes.size());
    if (!model) {
      if (!*iptq_last_error()) return std::fprintf(stderr, "no message\n"), 1;
      (std::strstr(iptq_last_error(), "command ") ? checked : damaged) += 1;
      continue;
    }
    ++accepted;
    if (small(model)) {
      std::fflush(nullptr);
      const pid_t child = fork();
      if (!child) {
        alarm(kSeconds);
        predict(model);
        _exit(0);
      }
      int status = 0;
      waitpid(child, &status, 0);
      const bool late = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
      endless += late;
      ran += 1;
      if (!late && status) {
        const std::string path = "fuzz-" + std::to_string(n) + ".iptq";
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
        iptq_close(model);  // so that it is no leak
        return std::fprintf(stderr, "a run failed on file %ld: %s\n", n, path.c_str()), 1;
      }
    }
    iptq_close(model);
  }
  std::printf("%ld files: %ld refused as a whole, %ld refused by the checks of commands and "
              "ports, %ld accepted; %ld ran, %ld of them without end\n",
              files, damaged, checked, accepted, ran, endless);
  return 0;
}
