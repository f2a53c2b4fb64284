// The bytes of a file: mapped, or memory of the caller.
#pragma once

#include "commands.h"

namespace iptq {

class Contents {
 public:
  Contents() = default;
  Contents(const Contents&) = delete;
  Contents& operator=(const Contents&) = delete;
  ~Contents();

  // Each returns false, with a message, if it cannot.
  bool map(const char* path);
  bool borrow(const void* data, u64 bytes);

  const u8* data() const { return data_; }
  u64 bytes() const { return bytes_; }

 private:
  const u8* data_ = nullptr;
  u64 bytes_ = 0;
  void* mapped_ = nullptr;
  void* copied_ = nullptr;
};

}  // namespace iptq
