// Sums of two words with 32 bits throughout: when they fit.
#pragma once

#include <cstdlib>

#include "commands.h"

namespace iptq {
namespace {

// A factor of up to 31 bits as two words: high * 2**16 + low.
struct Halves {
  i64 low, high;

  explicit Halves(i64 factor) : low(static_cast<i16>(factor)), high((factor - low) >> 16) {}
};

// Whether no sum overflows, whatever the words are, where what the lower halves add up to is
// carried to the upper ones.
inline bool fits_halves(const Sum& s) {
  const Halves left(s.left), right(s.right);
  const i64 most = INT32_MAX, words = -i64{INT16_MIN};
  const i64 below = words * (std::abs(left.low) + std::abs(right.low)) + 0xFFFF;
  const i64 above = words * (std::abs(left.high) + std::abs(right.high)) +
                    std::abs(s.offset >> 16) + words;
  return s.shift >= 16 && s.low >= INT16_MIN && s.high <= INT16_MAX &&
         std::abs(left.high) <= INT16_MAX && std::abs(right.high) <= INT16_MAX &&
         below <= most && above <= most;
}

}  // namespace
}  // namespace iptq
