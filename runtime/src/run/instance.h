// Memory and commands for one call at a time.
#pragma once

#include <memory>
#include <vector>

#include "run/pool.h"
#include "file/reader.h"

namespace iptq {

class Instance {
 public:
  // Null, with a message, if there is not enough memory.
  static std::unique_ptr<Instance> make(const Program& program, int threads);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  int threads() const { return pool_.threads(); }
  u8* at(u64 address) const { return arena_ + (address & file::kOffset); }

  // Runs `first`, the program's commands, and `last`.
  void run(const std::vector<const void*>& first, const std::vector<const void*>& last);

 private:
  explicit Instance(int threads) : pool_(threads) {}
  bool prepare(const Program& program);

  Pool pool_;
  u8* arena_ = nullptr;
  i64* commands_ = nullptr;
  std::vector<const void*> list_;
};

}  // namespace iptq
