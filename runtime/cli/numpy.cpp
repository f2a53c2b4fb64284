#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "array.h"

int bytes_of(iptq_type type) {
  return type == IPTQ_FLOAT32 || type == IPTQ_INT32 ? 4 : type == IPTQ_INT16 ? 2 : 1;
}

bool ends_with(const std::string& text, const char* end) {
  const size_t length = std::strlen(end);
  return text.size() >= length && !text.compare(text.size() - length, length, end);
}

bool read_file(const std::string& path, std::vector<unsigned char>& bytes,
               std::string& error) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) return error = path + " cannot be read", false;
  unsigned char part[65536];
  for (size_t n; (n = std::fread(part, 1, sizeof part, file)) > 0;)
    bytes.insert(bytes.end(), part, part + n);
  const bool bad = std::ferror(file);
  std::fclose(file);
  return !bad || (error = path + " cannot be read", false);
}

namespace {

const struct {
  const char* name;
  iptq_type type;
} kTypes[] = {{"|u1", IPTQ_UINT8}, {"|i1", IPTQ_INT8}, {"<i2", IPTQ_INT16},
              {"<i4", IPTQ_INT32}, {"<f4", IPTQ_FLOAT32}};

// The text behind a key of the header.
std::string value_of(const std::string& header, const char* key) {
  const size_t at = header.find(std::string("'") + key + "':");
  return at == std::string::npos ? "" : header.substr(at + std::strlen(key) + 3);
}

}  // namespace

bool read_numpy(const std::string& path, Array& array, std::string& error) {
  std::vector<unsigned char> all;
  if (!read_file(path, all, error)) return false;
  if (all.size() < 10 || std::memcmp(all.data(), "\x93NUMPY", 6))
    return error = path + " is no .npy file", false;
  const bool first = all[6] == 1;
  size_t at = first ? 10 : 12, length = all[8] | all[9] << 8;
  if (!first && all.size() >= 12) length |= size_t{all[10]} << 16 | size_t{all[11]} << 24;
  if (all.size() < at + length) return error = path + " is damaged", false;
  const std::string header(all.begin() + at, all.begin() + at + length);
  if (value_of(header, "fortran_order").find("False") > 2)
    return error = path + " is in Fortran's order: numpy.ascontiguousarray it", false;
  bool known = false;
  for (const auto& type : kTypes)
    if (value_of(header, "descr").find(type.name) < 4) array.type = type.type, known = true;
  if (!known) return error = path + " is of no type that models take", false;
  const std::string shape = value_of(header, "shape");
  const char* text = shape.c_str() + shape.find('(') + 1;
  for (char* end; *text && *text != ')'; text = *end == ',' ? end + 1 : end) {
    const long long n = std::strtoll(text, &end, 10);
    if (end == text || n < 0 || n > (1LL << 40)) break;
    array.shape.push_back(n);
  }
  at += length;
  array.bytes.assign(all.begin() + at, all.end());
  const double wanted = static_cast<double>(array.elements()) * bytes_of(array.type);
  return wanted == static_cast<double>(array.bytes.size()) ||
         (error = path + " has not as many bytes as its shape says", false);
}

bool write_numpy(const std::string& path, const Array& array, std::string& error) {
  std::string shape;
  for (int64_t n : array.shape) shape += std::to_string(n) + ",";
  const char* name = "";
  for (const auto& type : kTypes)
    if (type.type == array.type) name = type.name;
  std::string header = std::string("{'descr': '") + name +
                       "', 'fortran_order': False, 'shape': (" + shape + "), }";
  while ((10 + header.size() + 1) % 64) header += ' ';
  header += '\n';
  const unsigned char start[] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0,
                                 static_cast<unsigned char>(header.size() & 255),
                                 static_cast<unsigned char>(header.size() >> 8)};
  std::FILE* file = std::fopen(path.c_str(), "wb");
  bool good = file && std::fwrite(start, 1, sizeof start, file) == sizeof start &&
              std::fwrite(header.data(), 1, header.size(), file) == header.size() &&
              std::fwrite(array.bytes.data(), 1, array.bytes.size(), file) ==
                  array.bytes.size();
  if (file && std::fclose(file)) good = false;
  return good || (error = path + " cannot be written", false);
}
