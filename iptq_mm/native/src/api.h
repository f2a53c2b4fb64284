// What Python calls.
#pragma once

#define IPTQ_API extern "C" __attribute__((visibility("default")))
