#include "arguments.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

const char* kUsage =
    "iptq-run MODEL.iptq [INPUT ...]\n"
    "Runs an integer model. Without inputs it says what the model takes and gives.\n"
    "\n"
    "An INPUT is an image (.ppm, .pgm, .png), an array (.npy), or the bytes of one.\n"
    "  --top N          classes to print (5)\n"
    "  --out PREFIX     write output K to PREFIX_K.npy\n"
    "  --integers       write integers, instead of floats\n"
    "  --each           arrays have one dimension more: a call for each entry\n"
    "  --resize EDGE    scale the image's shorter edge to EDGE, as Pillow does\n"
    "  --bilinear       with --resize: bilinear instead of bicubic\n"
    "  --bench N        time N calls\n"
    "  --threads N      threads of a call (1)\n"
    "  --isa NAME       instruction set, instead of the CPU's best\n"
    "  --levels         instruction sets that this CPU has\n"
    "  --version\n";

namespace {

bool number(const char* option, const char* text, int least, int& value) {
  char* end = nullptr;
  const long read = text ? std::strtol(text, &end, 10) : 0;
  if (!text || *end || end == text || read < least || read > 1000000) {
    std::fprintf(stderr, "%s takes a number from %d on\n", option, least);
    return false;
  }
  value = static_cast<int>(read);
  return true;
}

}  // namespace

bool parse(int count, char** values, Arguments& a) {
  for (int i = 1; i < count; ++i) {
    const char* option = values[i];
    const char* next = i + 1 < count ? values[i + 1] : nullptr;
    const auto is = [&](const char* name) { return !std::strcmp(option, name); };
    if (std::strncmp(option, "--", 2)) {
      if (a.model.empty()) a.model = option;
      else a.inputs.push_back(option);
    } else if (is("--each")) {
      a.each = true;
    } else if (is("--integers")) {
      a.integers = true;
    } else if (is("--bilinear")) {
      a.bilinear = true;
    } else if (is("--out") || is("--isa")) {
      if (!next) return std::fprintf(stderr, "%s takes a value\n", option), false;
      (is("--out") ? a.out : a.isa) = next;
      ++i;
    } else if (is("--top") || is("--bench") || is("--threads") || is("--resize")) {
      int& to = is("--top") ? a.top : is("--bench") ? a.bench : is("--threads") ? a.threads : a.resize;
      if (!number(option, next, is("--top") ? 0 : 1, to)) return false;
      ++i;
    } else {
      return std::fprintf(stderr, "unknown option %s\n\n%s", option, kUsage), false;
    }
  }
  if (a.model.empty()) return std::fputs(kUsage, stderr), false;
  return true;
}
