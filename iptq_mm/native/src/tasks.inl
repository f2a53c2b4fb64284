// How many tasks a command is divided into.
#pragma once

#include "commands.h"

namespace iptq {
namespace {

inline i64 no_scratch(const void*) { return 0; }

inline i64 few_tasks(i64 units, i64 elements, i64 threads) {
  i64 tasks = threads > 1 ? threads * 4 : 1;
  const i64 worthwhile = elements / 4096 + 1;
  tasks = tasks < worthwhile ? tasks : worthwhile;
  return tasks < units ? tasks : units;
}

}  // namespace
}  // namespace iptq
