// Where a caller's arrays become integers of a program, and the other way round.
#pragma once

#include <vector>

#include "run/instance.h"
#include "iptq.h"

namespace iptq {

// The commands that convert arrays; they hold addresses of the arrays.
class Border {
 public:
  // Each returns false, with a message, if an array does not fit.
  bool enter(const iptq_port& port, const file::Port& record, const Sections& sections,
             const iptq_array& array, const Instance& instance);
  bool leave(const iptq_port& port, const file::Port& record, const iptq_array& array,
             const Instance& instance);

  std::vector<const void*> entering() const;
  std::vector<const void*> leaving() const;
  // Integers that leave as they are.
  void copy_integers() const;

 private:
  struct Move {
    void* to;
    const void* from;
    std::size_t bytes;
  };

  std::vector<Quantize> enter_;
  std::vector<Dequantize> leave_;
  std::vector<Move> moves_;
};

}  // namespace iptq
