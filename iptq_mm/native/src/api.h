// What Python calls. The runtime library (runtime/) has an interface of its own.
#pragma once

#define IPTQ_API extern "C" __attribute__((visibility("default")))
