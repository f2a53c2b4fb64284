// iptq-run: runs an integer model on files.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "arguments.h"
#include "array.h"
#include "resize.h"

namespace {

bool fail(const std::string& message) {
  std::fprintf(stderr, "iptq-run: %s\n", message.c_str());
  return false;
}

double seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// The most kilobytes that were resident; 0 where the system does not say.
long resident() {
  std::FILE* file = std::fopen("/proc/self/status", "r");
  long most = 0;
  for (char line[256]; file && std::fgets(line, sizeof line, file);)
    if (std::sscanf(line, "VmHWM: %ld", &most) == 1) break;
  if (file) std::fclose(file);
  return most;
}

std::string shape_text(const iptq_port& port) {
  std::string text;
  for (int d = 0; d < port.rank; ++d)
    text += (d ? " x " : "") + std::to_string(port.shape[d]);
  return text;
}

void describe(const iptq_model* model) {
  static const char* const kinds[] = {"real numbers", "images", "integers"};
  std::printf("%s, %.1f MB of working memory\n", iptq_name(model),
              static_cast<double>(iptq_working_memory(model)) / 1e6);
  const auto line = [](const char* what, const iptq_port& p) {
    std::printf("%s %s: %s, %s, integers %lld..%lld, scale %.9g\n", what, p.name,
                shape_text(p).c_str(), kinds[p.kind], static_cast<long long>(p.low),
                static_cast<long long>(p.high), p.scale);
    if (!p.channels) return;
    std::printf("  channels %s, mean and std", *p.order ? p.order : "in unknown order");
    for (int c = 0; c < p.channels; ++c) std::printf(" %.6g/%.6g", p.mean[c], p.std[c]);
    std::printf("\n");
  };
  for (size_t i = 0; i < iptq_inputs(model); ++i) line("input", *iptq_input(model, i));
  for (size_t i = 0; i < iptq_outputs(model); ++i) line("output", *iptq_output(model, i));
}

// An image as an input wants it: the order of channels, planes instead of pixels.
bool as_input(const Arguments& a, const iptq_port& port, Array& image) {
  if (port.kind != IPTQ_PIXELS && !port.channels)
    return fail(std::string(port.name) + " takes no image: give a .npy file");
  if (port.shape[0] != 1) return fail("the model takes several images: give a .npy file");
  if (a.resize) resize_edge(image, a.resize, a.bilinear);
  const int64_t height = port.shape[2], width = port.shape[3];
  const bool same = image.shape[0] == height && image.shape[1] == width;
  if (!same && (!a.resize || !crop_middle(image, height, width)))
    return fail("the image is " + std::to_string(image.shape[1]) + " x " +
                std::to_string(image.shape[0]) + ", the model takes " +
                std::to_string(width) + " x " + std::to_string(height) +
                ": --resize EDGE scales and crops it");
  const int64_t channels = port.shape[1], given = image.shape[2], plane = height * width;
  if (given != channels && given != 1)
    return fail("the image has other channels than the model takes");
  const bool flips = channels == 3 && !std::strcmp(port.order, "BGR");
  Array made;
  made.shape.assign(port.shape, port.shape + port.rank);
  made.bytes.resize(static_cast<size_t>(channels * plane));
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < plane; ++i) {
      const int64_t from = given == 1 ? 0 : flips ? 2 - c : c;
      made.bytes[size_t(c * plane + i)] = image.bytes[size_t(i * given + from)];
    }
  if (port.kind == IPTQ_PIXELS) return image = made, true;
  // Floats are normalized.
  Array real;
  real.type = IPTQ_FLOAT32;
  real.shape = made.shape;
  real.bytes.resize(made.bytes.size() * 4);
  for (size_t i = 0; i < made.bytes.size(); ++i) {
    const size_t c = i / size_t(plane) % size_t(channels);
    const float x = (float(made.bytes[i]) - float(port.mean[c])) / float(port.std[c]);
    std::memcpy(&real.bytes[4 * i], &x, 4);
  }
  image = real;
  return true;
}

bool read_input(const Arguments& a, const iptq_port& port, const std::string& path,
                Array& array) {
  std::string error;
  if (ends_with(path, ".npy")) return read_numpy(path, array, error) || fail(error);
  if (ends_with(path, ".png") || ends_with(path, ".ppm") || ends_with(path, ".pgm")) {
    if (!read_image(path, array, error)) return fail(error);
    return as_input(a, port, array);
  }
  if (!read_file(path, array.bytes, error)) return fail(error);
  const size_t elements = static_cast<size_t>(port.elements);
  const bool floats = port.kind != IPTQ_GIVEN && array.bytes.size() == 4 * elements;
  array.type = floats ? IPTQ_FLOAT32
               : port.kind == IPTQ_PIXELS && array.bytes.size() == elements
                   ? IPTQ_UINT8
                   : port.integers;
  array.shape.assign(port.shape, port.shape + port.rank);
  return true;
}

void print_output(const iptq_port& port, const float* x, int top) {
  const bool classes = port.rank == 2 && port.shape[0] == 1;
  std::printf("%s: %s\n", port.name, shape_text(port).c_str());
  if (!classes) {
    float low = x[0], high = x[0];
    for (int64_t i = 1; i < port.elements; ++i)
      low = std::min(low, x[i]), high = std::max(high, x[i]);
    std::printf("  %.6g to %.6g\n", low, high);
    return;
  }
  std::vector<int64_t> order(static_cast<size_t>(port.elements));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  const auto most = std::min<size_t>(size_t(top), order.size());
  std::partial_sort(order.begin(), order.begin() + std::ptrdiff_t(most), order.end(),
                    [&](int64_t i, int64_t j) {
                      return x[i] != x[j] ? x[i] > x[j] : i < j;
                    });
  for (size_t i = 0; i < most; ++i)
    std::printf("  class %lld: %.6g\n", static_cast<long long>(order[i]), x[order[i]]);
}

struct Session {
  const Arguments& arguments;
  iptq_model* model;
  std::vector<Array> inputs, outputs;
  size_t calls = 1;

  bool read();
  bool prepare();
  bool call(size_t number);
  bool bench();
  bool write();
  void print() const;
  const iptq_port& in(size_t i) const { return *iptq_input(model, i); }
  const iptq_port& out(size_t i) const { return *iptq_output(model, i); }
};

bool Session::read() {
  if (arguments.inputs.empty() && arguments.bench) {
    for (size_t i = 0; i < iptq_inputs(model); ++i) {  // zeros
      Array zeros;
      zeros.type = in(i).kind == IPTQ_PIXELS ? IPTQ_UINT8 : in(i).integers;
      zeros.bytes.resize(size_t(in(i).elements) * size_t(bytes_of(zeros.type)));
      inputs.push_back(zeros);
    }
    return true;
  }
  if (arguments.inputs.size() != iptq_inputs(model))
    return fail("the model takes " + std::to_string(iptq_inputs(model)) + " inputs");
  for (size_t i = 0; i < arguments.inputs.size(); ++i) {
    Array array;
    if (!read_input(arguments, in(i), arguments.inputs[i], array)) return false;
    inputs.push_back(array);
  }
  if (!arguments.each) return true;
  const int64_t entries = inputs[0].shape.empty() ? 0 : inputs[0].shape[0];
  for (const Array& array : inputs)
    if (array.shape.empty() || array.shape[0] != entries || entries < 1)
      return fail("with --each, arrays have a first dimension of equal length");
  calls = static_cast<size_t>(entries);
  return true;
}

bool Session::prepare() {
  for (size_t i = 0; i < iptq_outputs(model); ++i) {
    Array made;
    made.type = arguments.integers ? out(i).integers : IPTQ_FLOAT32;
    made.shape.assign(out(i).shape, out(i).shape + out(i).rank);
    if (arguments.each) made.shape.insert(made.shape.begin(), int64_t(calls));
    made.bytes.resize(size_t(out(i).elements) * size_t(bytes_of(made.type)) * calls);
    outputs.push_back(made);
  }
  return true;
}

bool Session::call(size_t number) {
  std::vector<iptq_array> given, made;
  for (Array& array : inputs) {
    const size_t bytes = array.bytes.size() / calls;
    given.push_back({array.type, array.bytes.data() + number * bytes, bytes});
  }
  for (Array& array : outputs) {
    const size_t bytes = array.bytes.size() / calls;
    made.push_back({array.type, array.bytes.data() + number * bytes, bytes});
  }
  return !iptq_predict(model, given.data(), given.size(), made.data(), made.size()) ||
         fail(iptq_last_error());
}

bool Session::bench() {
  std::vector<double> times, used;
  for (int i = 0; i < arguments.bench; ++i) {
    const double start = seconds(CLOCK_MONOTONIC);
    const double from = seconds(CLOCK_PROCESS_CPUTIME_ID);
    if (!call(0)) return false;
    used.push_back(1e3 * (seconds(CLOCK_PROCESS_CPUTIME_ID) - from));
    times.push_back(1e3 * (seconds(CLOCK_MONOTONIC) - start));
  }
  std::sort(times.begin(), times.end());
  std::sort(used.begin(), used.end());
  std::printf("%d calls, %d threads, %s: median %.3f ms, least %.3f ms; of CPUs %.3f ms\n",
              arguments.bench, arguments.threads, iptq_instruction_set_in_use(),
              times[times.size() / 2], times[0], used[used.size() / 2]);
  std::printf("resident at most: %ld kB\n", resident());
  return true;
}

bool Session::write() {
  std::string error;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string path = arguments.out + "_" + std::to_string(i) + ".npy";
    if (!write_numpy(path, outputs[i], error)) return fail(error);
  }
  return true;
}

void Session::print() const {
  if (arguments.integers || arguments.each) return;
  for (size_t i = 0; i < outputs.size(); ++i)
    print_output(out(i), reinterpret_cast<const float*>(outputs[i].bytes.data()),
                 arguments.top);
}

bool run(const Arguments& arguments, iptq_model* model) {
  if (arguments.inputs.empty() && !arguments.bench) return describe(model), true;
  Session session{arguments, model, {}, {}};
  if (iptq_set_threads(model, arguments.threads)) return fail(iptq_last_error());
  if (!session.read() || !session.prepare()) return false;
  if (arguments.bench) return session.bench();
  for (size_t i = 0; i < session.calls; ++i)
    if (!session.call(i)) return false;
  if (!arguments.out.empty() && !session.write()) return false;
  session.print();
  return true;
}

}  // namespace

int main(int count, char** values) {
  for (int i = 1; i < count; ++i) {
    if (!std::strcmp(values[i], "--version"))
      return std::printf("iptq-run %s\n", iptq_version()), 0;
    if (!std::strcmp(values[i], "--levels")) {
      for (int level = 0; iptq_instruction_set(level); ++level)
        std::printf("%s\n", iptq_instruction_set(level));
      return 0;
    }
    if (!std::strcmp(values[i], "--help")) return std::fputs(kUsage, stdout), 0;
  }
  Arguments arguments;
  if (!parse(count, values, arguments)) return 2;
  if (!arguments.isa.empty() && iptq_use_instruction_set(arguments.isa.c_str()))
    return fail(iptq_last_error()), 1;
  iptq_model* model = iptq_open(arguments.model.c_str());
  if (!model) return fail(arguments.model + ": " + iptq_last_error()), 1;
  const bool good = run(arguments, model);
  iptq_close(model);
  return good ? 0 : 1;
}
