// RoIAlign, float by nature, and outside the integer programs: the same sums in the
// same order as mmcv's on the CPU, so that nobody finds a difference, but of all
// channels at once, which lie side by side here, and on all threads.
#pragma once

#include <cmath>

#include "commands.h"

namespace iptq {
namespace {

constexpr i64 kChannelRun = 64;  // channels whose sums stay in registers

// A sample's neighbours along an axis, and their weights.
struct Neighbours {
  i64 low = 0, high = 0;
  float near_low = 0, near_high = 0;
  bool counts = false;  // it may lie a pixel outside, but no further

  void find(float at, i64 size) {
    counts = at >= -1.0f && at <= static_cast<float>(size);
    if (!counts) return;
    if (at <= 0) at = 0;
    low = static_cast<i64>(at);
    if (low >= size - 1) {
      low = high = size - 1;
      at = static_cast<float>(low);
    } else {
      high = low + 1;
    }
    near_high = at - static_cast<float>(low);
    near_low = 1.0f - near_high;
  }
};

// Samples along an axis that are looked up; of large boxes they are found each time.
constexpr i64 kSamples = 256;

// A region of interest along an axis: bins, with samples evenly within each.
class Axis {
 public:
  i64 samples;

  Axis(float from, float to, const RoIAlign& c, i64 bins, i64 size) : size_(size) {
    const float scale = static_cast<float>(c.scale), offset = c.aligned ? 0.5f : 0.0f;
    start_ = from * scale - offset;
    float length = to * scale - offset - start_;
    if (!c.aligned && length < 1.0f) length = 1.0f;
    bin_ = length / static_cast<float>(bins);
    samples = c.sampling > 0 ? c.sampling : static_cast<i64>(std::ceil(bin_));
    known_ = bins * samples <= kSamples;
    for (i64 i = 0; known_ && i < bins * samples; ++i)
      found_[i] = find(i / samples, i % samples);
  }

  Neighbours at(i64 index, i64 sample) const {
    return known_ ? found_[index * samples + sample] : find(index, sample);
  }

 private:
  float start_, bin_;
  i64 size_;
  bool known_;
  Neighbours found_[kSamples];

  Neighbours find(i64 index, i64 sample) const {
    Neighbours found;
    found.find(start_ + static_cast<float>(index) * bin_ +
                   (static_cast<float>(sample) + 0.5f) * bin_ / static_cast<float>(samples),
               size_);
    return found;
  }
};

// sums += the value between four pixels, by channel.
template <class T>
void add_between(const T* maps, const i64* pixel, const float* weight, i64 channels,
                 float step, float* __restrict sums) {
  const T *a = maps + pixel[0], *b = maps + pixel[1];
  const T *c = maps + pixel[2], *d = maps + pixel[3];
  for (i64 i = 0; i < channels; ++i)
    sums[i] += weight[0] * (static_cast<float>(a[i]) * step) +
               weight[1] * (static_cast<float>(b[i]) * step) +
               weight[2] * (static_cast<float>(c[i]) * step) +
               weight[3] * (static_cast<float>(d[i]) * step);
}

// The sums of a bin's samples, for a run of channels.
template <class T>
void sum_bin(const RoIAlign& c, const T* maps, const Axis& down, const Axis& across,
             i64 row, i64 column, i64 channels, float* sums) {
  const float step = static_cast<float>(c.step);
  for (i64 i = 0; i < channels; ++i) sums[i] = 0;
  for (i64 i = 0; i < down.samples; ++i) {
    const Neighbours y = down.at(row, i);
    if (!y.counts) continue;
    for (i64 j = 0; j < across.samples; ++j) {
      const Neighbours x = across.at(column, j);
      if (!x.counts) continue;
      const i64 pixel[] = {(y.low * c.width + x.low) * c.channels,
                           (y.low * c.width + x.high) * c.channels,
                           (y.high * c.width + x.low) * c.channels,
                           (y.high * c.width + x.high) * c.channels};
      const float weight[] = {y.near_low * x.near_low, y.near_low * x.near_high,
                              y.near_high * x.near_low, y.near_high * x.near_high};
      if (channels == kChannelRun)
        add_between(maps, pixel, weight, kChannelRun, step, sums);
      else
        add_between(maps, pixel, weight, channels, step, sums);
    }
  }
}

template <class T>
void roi_align(const RoIAlign& c, i64 roi) {
  const float* box = c.rois + roi * 5;
  const Axis across(box[1], box[3], c, c.columns, c.width);
  const Axis down(box[2], box[4], c, c.rows, c.height);
  const T* maps = static_cast<const T*>(c.x) +
                  static_cast<i64>(box[0]) * c.height * c.width * c.channels;
  const i64 bins = c.rows * c.columns, samples = down.samples * across.samples;
  const float count = static_cast<float>(samples > 1 ? samples : 1);
  float* out = c.out + roi * c.channels * bins;
  float sums[kChannelRun];
  for (i64 first = 0; first < c.channels; first += kChannelRun) {
    const i64 rest = c.channels - first;
    const i64 channels = rest < kChannelRun ? rest : kChannelRun;
    for (i64 bin = 0; bin < bins; ++bin) {
      sum_bin(c, maps + first, down, across, bin / c.columns, bin % c.columns, channels,
              sums);
      for (i64 i = 0; i < channels; ++i) out[(first + i) * bins + bin] = sums[i] / count;
    }
  }
}

i64 roi_align_tasks(const void* command, i64 threads) {
  const i64 count = static_cast<const RoIAlign*>(command)->count;
  const i64 tasks = threads > 1 ? threads * 16 : 1;
  return tasks < count ? tasks : count;
}

void roi_align_run(const void* command, i64 task, i64 tasks, char*) {
  const RoIAlign& c = *static_cast<const RoIAlign*>(command);
  for (i64 i = c.count * task / tasks; i < c.count * (task + 1) / tasks; ++i) {
    if (c.x_type == kI8)
      roi_align<i8>(c, i);
    else if (c.x_type == kI16)
      roi_align<i16>(c, i);
    else
      roi_align<float>(c, i);
  }
}

}  // namespace
}  // namespace iptq
