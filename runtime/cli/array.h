// Arrays in memory, and the files that they come from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "iptq.h"

struct Array {
  iptq_type type = IPTQ_UINT8;
  std::vector<int64_t> shape;
  std::vector<unsigned char> bytes;

  int64_t elements() const {
    int64_t all = 1;
    for (int64_t n : shape) all *= n;
    return all;
  }
};

int bytes_of(iptq_type type);

// The bytes of a file. These functions return false, with a message in `error`.
bool read_file(const std::string& path, std::vector<unsigned char>& bytes,
               std::string& error);
bool read_numpy(const std::string& path, Array& array, std::string& error);
bool write_numpy(const std::string& path, const Array& array, std::string& error);
// Height, width, channels: RGB or grey, 8 bits.
bool read_image(const std::string& path, Array& array, std::string& error);

bool ends_with(const std::string& text, const char* end);
