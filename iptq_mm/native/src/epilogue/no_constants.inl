// Epilogues read the constants of a panel as the command has them.
#pragma once

#include "commands.h"

namespace iptq {
namespace {

struct PanelConstants {
  void prepare(const Gemm&, i64, i64) {}
};

}  // namespace
}  // namespace iptq
