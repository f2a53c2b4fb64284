// A few threads that wait for work.
#pragma once

#include <pthread.h>

#include <vector>

#include "executor.h"

namespace iptq {

class Pool {
 public:
  // `threads` includes the caller's.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs commands on all of them; one call at a time.
  void execute(const void* const* commands, i64 count);

 private:
  static void* start(void* pool);
  static void parallel(Body body, void* argument, unsigned threads, unsigned flags);
  void work();
  void share(Body body, void* argument);

  pthread_mutex_t lock_;
  pthread_cond_t wake_, done_;
  std::vector<pthread_t> workers_;
  Body body_ = nullptr;
  void* argument_ = nullptr;
  u64 round_ = 0;
  int busy_ = 0;
  bool ends_ = false;
};

}  // namespace iptq
