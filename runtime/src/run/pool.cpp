#include "run/pool.h"

namespace iptq {
namespace {

// The executor's hook has no room for the pool.
thread_local Pool* current = nullptr;

struct Locked {
  explicit Locked(pthread_mutex_t& lock) : lock(lock) { pthread_mutex_lock(&lock); }
  ~Locked() { pthread_mutex_unlock(&lock); }
  pthread_mutex_t& lock;
};

}  // namespace

Pool::Pool(int threads) {
  pthread_mutex_init(&lock_, nullptr);
  pthread_cond_init(&wake_, nullptr);
  pthread_cond_init(&done_, nullptr);
  for (int i = 1; i < threads; ++i) {
    pthread_t worker;
    // With fewer threads than wanted, all still works.
    if (pthread_create(&worker, nullptr, start, this)) break;
    workers_.push_back(worker);
  }
}

Pool::~Pool() {
  {
    Locked locked(lock_);
    ends_ = true;
    pthread_cond_broadcast(&wake_);
  }
  for (pthread_t worker : workers_) pthread_join(worker, nullptr);
  pthread_cond_destroy(&done_);
  pthread_cond_destroy(&wake_);
  pthread_mutex_destroy(&lock_);
}

void Pool::execute(const void* const* commands, i64 count) {
  current = this;
  iptq::execute(commands, count, threads(), workers_.empty() ? nullptr : parallel);
  current = nullptr;
}

void* Pool::start(void* pool) {
  static_cast<Pool*>(pool)->work();
  return nullptr;
}

void Pool::parallel(Body body, void* argument, unsigned, unsigned) {
  current->share(body, argument);
}

void Pool::share(Body body, void* argument) {
  {
    Locked locked(lock_);
    body_ = body;
    argument_ = argument;
    busy_ = static_cast<int>(workers_.size());
    ++round_;
    pthread_cond_broadcast(&wake_);
  }
  body(argument);
  Locked locked(lock_);
  while (busy_) pthread_cond_wait(&done_, &lock_);
}

void Pool::work() {
  for (u64 seen = 0;;) {
    Body body;
    void* argument;
    {
      Locked locked(lock_);
      while (round_ == seen && !ends_) pthread_cond_wait(&wake_, &lock_);
      if (ends_) return;
      seen = round_;
      body = body_;
      argument = argument_;
    }
    body(argument);
    Locked locked(lock_);
    if (--busy_ == 0) pthread_cond_signal(&done_);
  }
}

}  // namespace iptq
