// Several threads share a model: each call has memory of its own.
//
//   classify_threads MODEL.iptq PIXELS THREADS
//
// PIXELS has the bytes of one image, plane after plane, in the model's order of channels.
#include <iptq.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

class Model {
 public:
  explicit Model(const char* path) : model_(iptq_open(path), iptq_close) {
    if (!model_) throw std::runtime_error(iptq_last_error());
  }

  // Thread-safe. What went wrong is known to the thread that it went wrong in.
  std::vector<float> operator()(std::vector<unsigned char>& pixels) const {
    std::vector<float> logits(static_cast<size_t>(iptq_output(model_.get(), 0)->elements));
    const iptq_array input{IPTQ_UINT8, pixels.data(), pixels.size()};
    const iptq_array output{IPTQ_FLOAT32, logits.data(), logits.size() * sizeof(float)};
    if (iptq_predict(model_.get(), &input, 1, &output, 1))
      throw std::runtime_error(iptq_last_error());
    return logits;
  }

 private:
  std::unique_ptr<iptq_model, void (*)(iptq_model*)> model_;
};

int main(int count, char** values) try {
  if (count != 4) throw std::runtime_error("classify_threads MODEL.iptq PIXELS THREADS");
  const Model model(values[1]);
  std::ifstream file(values[2], std::ios::binary);
  const std::vector<unsigned char> pixels{std::istreambuf_iterator<char>(file),
                                          std::istreambuf_iterator<char>()};
  std::vector<std::string> errors(static_cast<size_t>(std::atoi(values[3])));
  std::vector<std::vector<float>> results(errors.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < errors.size(); ++i)
    threads.emplace_back([&, i] {
      try {
        auto mine = pixels;
        results[i] = model(mine);
      } catch (const std::exception& error) {
        errors[i] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < errors.size(); ++i) {
    if (!errors[i].empty()) throw std::runtime_error(errors[i]);
    const auto best = std::max_element(results[i].begin(), results[i].end());
    std::printf("thread %zu, class %td: %.6g\n", i, best - results[i].begin(), *best);
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
