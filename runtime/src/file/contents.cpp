#include "file/contents.h"

#ifndef __wasm__
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "error.h"
#include "file/format.h"

namespace iptq {

#ifdef __wasm__

Contents::~Contents() { std::free(copied_); }

bool Contents::map(const char*) {
  return refuse("there are no files here: give the contents of one");
}

#else

Contents::~Contents() {
  if (mapped_) munmap(mapped_, static_cast<std::size_t>(bytes_));
  std::free(copied_);
}

bool Contents::map(const char* path) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return refuse("%s: %s", path, std::strerror(errno));
  struct stat about;
  if (fstat(file, &about) || !S_ISREG(about.st_mode)) {
    ::close(file);
    return refuse("%s is no file", path);
  }
  if (about.st_size == 0) {
    ::close(file);
    return refuse("%s is empty: export the model again", path);
  }
  bytes_ = static_cast<u64>(about.st_size);
  void* at = MAP_FAILED;
  if (bytes_ <= SIZE_MAX)
    at = mmap(nullptr, static_cast<std::size_t>(bytes_), PROT_READ, MAP_PRIVATE, file, 0);
  ::close(file);
  if (at == MAP_FAILED) return refuse("%s cannot be mapped: %s", path, std::strerror(errno));
  mapped_ = at;
  data_ = static_cast<const u8*>(at);
  return true;
}

#endif

bool Contents::borrow(const void* data, u64 bytes) {
  if (!data || !bytes) return refuse("no bytes: give the contents of an .iptq file");
  bytes_ = bytes;
  data_ = static_cast<const u8*>(data);
  if (reinterpret_cast<std::uintptr_t>(data) % file::kAlignment == 0) return true;
  if (posix_memalign(&copied_, file::kAlignment, static_cast<std::size_t>(bytes)))
    return refuse("no memory for a copy of %llu bytes",
                  static_cast<unsigned long long>(bytes));
  std::memcpy(copied_, data, static_cast<std::size_t>(bytes));
  data_ = static_cast<const u8*>(copied_);
  return true;
}

}  // namespace iptq
