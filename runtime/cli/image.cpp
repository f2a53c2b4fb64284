#include <cctype>
#include <cstdlib>

#include "array.h"

#ifdef IPTQ_PNG
#include <png.h>
#endif

namespace {

// The next number of a netpbm header; -1: none.
long next_number(const std::vector<unsigned char>& bytes, size_t& at) {
  while (at < bytes.size() && (std::isspace(bytes[at]) || bytes[at] == '#')) {
    if (bytes[at] == '#')
      while (at < bytes.size() && bytes[at] != '\n') ++at;
    else ++at;
  }
  long value = -1;
  for (; at < bytes.size() && std::isdigit(bytes[at]) && value < 1000000; ++at)
    value = (value < 0 ? 0 : value * 10) + bytes[at] - '0';
  return value;
}

bool read_netpbm(const std::string& path, Array& array, std::string& error) {
  std::vector<unsigned char> bytes;
  if (!read_file(path, bytes, error)) return false;
  if (bytes.size() < 3 || bytes[0] != 'P' || (bytes[1] != '5' && bytes[1] != '6'))
    return error = path + " is no binary .ppm or .pgm file", false;
  const int channels = bytes[1] == '6' ? 3 : 1;
  size_t at = 2;
  const long width = next_number(bytes, at), height = next_number(bytes, at);
  const long most = next_number(bytes, at);
  if (width <= 0 || height <= 0 || most != 255)
    return error = path + " has not 8 bits", false;
  const size_t size = size_t(width) * size_t(height) * channels;
  if (++at > bytes.size() || bytes.size() - at < size)
    return error = path + " is too short", false;
  array.type = IPTQ_UINT8;
  array.shape = {height, width, channels};
  array.bytes.assign(bytes.begin() + at, bytes.begin() + at + size);
  return true;
}

#ifdef IPTQ_PNG
bool read_png(const std::string& path, Array& array, std::string& error) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_file(&image, path.c_str()))
    return error = path + ": " + image.message, false;
  const bool grey = !(image.format & PNG_FORMAT_FLAG_COLOR);
  image.format = grey ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  array.type = IPTQ_UINT8;
  array.shape = {image.height, image.width, grey ? 1 : 3};
  array.bytes.resize(PNG_IMAGE_SIZE(image));
  if (!png_image_finish_read(&image, nullptr, array.bytes.data(), 0, nullptr))
    return error = path + ": " + image.message, false;
  return true;
}
#else
bool read_png(const std::string& path, Array&, std::string& error) {
  error = path + ": this iptq-run was built without libpng; give a .ppm file";
  return false;
}
#endif

}  // namespace

bool read_image(const std::string& path, Array& array, std::string& error) {
  return ends_with(path, ".png") ? read_png(path, array, error)
                                 : read_netpbm(path, array, error);
}
