#include "resize.h"

#include <cmath>
#include <cstring>

namespace {

constexpr int kBits = 22;  // fraction bits of weights: Pillow's PRECISION_BITS

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

double triangle(double x) {
  x = std::fabs(x);
  return x < 1 ? 1 - x : 0;
}

// The pixels that make one, and their weights.
struct Pixel {
  int64_t first;
  std::vector<int> weights;
};

std::vector<Pixel> pixels_of(int64_t in, int64_t out, bool bilinear) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double wide = scale < 1 ? 1 : scale, support = (bilinear ? 1 : 2) * wide;
  std::vector<Pixel> made(static_cast<size_t>(out));
  for (int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale, step = 1 / wide;
    int64_t first = static_cast<int64_t>(centre - support + 0.5);
    int64_t last = static_cast<int64_t>(centre + support + 0.5);
    if (first < 0) first = 0;
    if (last > in) last = in;
    std::vector<double> weights;
    double sum = 0;
    for (int64_t x = 0; x < last - first; ++x) {
      const double at = (static_cast<double>(x + first) - centre + 0.5) * step;
      weights.push_back(bilinear ? triangle(at) : cubic(at));
      sum += weights.back();
    }
    made[static_cast<size_t>(i)].first = first;
    for (double w : weights) {
      if (sum != 0) w /= sum;
      const double scaled = w * (1 << kBits);
      made[static_cast<size_t>(i)].weights.push_back(
          static_cast<int>(w < 0 ? scaled - 0.5 : scaled + 0.5));
    }
  }
  return made;
}

// Along one of three dimensions: (outer, in, inner) becomes (outer, out, inner).
std::vector<unsigned char> resample(const std::vector<unsigned char>& from, int64_t outer,
                                    int64_t in, int64_t out, int64_t inner,
                                    bool bilinear) {
  if (in == out) return from;
  const std::vector<Pixel> pixels = pixels_of(in, out, bilinear);
  std::vector<unsigned char> to(static_cast<size_t>(outer * out * inner));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < out; ++i)
      for (int64_t c = 0; c < inner; ++c) {
        const Pixel& pixel = pixels[static_cast<size_t>(i)];
        int sum = 1 << (kBits - 1);
        for (size_t k = 0; k < pixel.weights.size(); ++k)
          sum += pixel.weights[k] *
                 from[static_cast<size_t>((o * in + pixel.first + int64_t(k)) * inner + c)];
        sum >>= kBits;
        to[static_cast<size_t>((o * out + i) * inner + c)] =
            static_cast<unsigned char>(sum < 0 ? 0 : sum > 255 ? 255 : sum);
      }
  return to;
}

}  // namespace

void resize_edge(Array& image, int edge, bool bilinear) {
  const int64_t height = image.shape[0], width = image.shape[1], c = image.shape[2];
  const int64_t h = height < width ? edge : int64_t(double(edge) * height / width);
  const int64_t w = height < width ? int64_t(double(edge) * width / height) : edge;
  image.bytes = resample(image.bytes, height, width, w, c, bilinear);
  image.bytes = resample(image.bytes, 1, height, h, w * c, bilinear);
  image.shape = {h, w, c};
}

bool crop_middle(Array& image, int64_t height, int64_t width) {
  const int64_t h = image.shape[0], w = image.shape[1], c = image.shape[2];
  if (h < height || w < width) return false;
  const int64_t top = static_cast<int64_t>(std::nearbyint((h - height) / 2.0));
  const int64_t left = static_cast<int64_t>(std::nearbyint((w - width) / 2.0));
  std::vector<unsigned char> made;
  for (int64_t y = 0; y < height; ++y) {
    const auto row = image.bytes.begin() + ((top + y) * w + left) * c;
    made.insert(made.end(), row, row + width * c);
  }
  image.bytes = made;
  image.shape = {height, width, c};
  return true;
}
