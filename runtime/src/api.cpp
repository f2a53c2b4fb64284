// The C interface: models, and calls that borrow an instance each.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "run/border.h"
#include "error.h"
#include "iptq.h"

#ifndef IPTQ_VERSION
#error "the build gives IPTQ_VERSION"
#endif

using namespace iptq;

namespace {

constexpr int kMostThreads = 64;
constexpr u64 kMostScratch = sizeof(void*) == 8 ? u64{1} << 36 : u64{1} << 30;

struct Lock {
  Lock() { pthread_mutex_init(&mutex, nullptr); }
  ~Lock() { pthread_mutex_destroy(&mutex); }
  pthread_mutex_t mutex;
};

struct Held {
  explicit Held(Lock& lock) : lock(lock) { pthread_mutex_lock(&lock.mutex); }
  ~Held() { pthread_mutex_unlock(&lock.mutex); }
  Lock& lock;
};

iptq_port described(const Program& program, const file::Port& record) {
  iptq_port port{};
  port.name = program.texts + record.name;
  port.kind = static_cast<iptq_kind>(record.kind);
  port.integers = static_cast<iptq_type>(record.integer_type);
  port.scale = record.scale;
  port.low = record.low;
  port.high = record.high;
  port.rank = static_cast<int>(record.rank);
  port.elements = 1;
  for (int d = 0; d < port.rank; ++d) {
    port.shape[d] = record.shape[d];
    port.elements *= record.shape[d];
  }
  if (!record.look) return port;
  const u8* look = program.sections.constants + (record.look & file::kOffset);
  port.order = program.texts + record.order;
  port.mean = reinterpret_cast<const double*>(look);
  port.channels = static_cast<int>(record.channels);
  port.std = port.mean + port.channels;
  return port;
}

// The most that a command wants of a thread's memory.
u64 most_scratch(const Program& program) {
  u64 most = 0;
  for (const i64* command : program.commands) {
    const u64 bytes = static_cast<u64>(scratch_bytes(command));
    most = bytes > most ? bytes : most;
  }
  return most;
}

}  // namespace

struct iptq_model {
  Contents contents;
  Program program;
  std::vector<iptq_port> ports;
  Lock lock;
  std::vector<std::unique_ptr<Instance>> free;
  int threads = 1;

  bool open() {
    if (!read_program(contents, program)) return false;
    const u64 count = u64{program.header.inputs} + program.header.outputs;
    for (u64 i = 0; i < count; ++i)
      ports.push_back(described(program, program.ports[i]));
    return true;
  }

  std::unique_ptr<Instance> borrow() {
    int wanted;
    {
      Held held(lock);
      wanted = threads;
      while (!free.empty()) {
        std::unique_ptr<Instance> found = std::move(free.back());
        free.pop_back();
        if (found->threads() == wanted) return found;
      }
    }
    return Instance::make(program, wanted);
  }

  void give_back(std::unique_ptr<Instance> instance) {
    Held held(lock);
    free.push_back(std::move(instance));
  }
};

namespace {

iptq_model* opened(std::unique_ptr<iptq_model> model, bool read) {
  if (!read || !model->open()) return nullptr;
  // Kernels have scratch memory, too, and cannot say that there is none.
  const u64 scratch = most_scratch(model->program);
  void* trial = scratch > kMostScratch ? nullptr : std::malloc(scratch + 1);
  std::free(trial);
  if (!trial) {
    refuse("not enough memory: each thread of a call needs %llu bytes",
           static_cast<unsigned long long>(scratch));
    return nullptr;
  }
  std::unique_ptr<Instance> instance = Instance::make(model->program, 1);
  if (!instance) return nullptr;
  model->give_back(std::move(instance));
  return model.release();
}

bool predict(iptq_model& model, const iptq_array* inputs, size_t given,
             const iptq_array* outputs, size_t wanted) {
  const file::Header& h = model.program.header;
  if (given != h.inputs || wanted != h.outputs || !inputs || !outputs)
    return refuse("the model has %u inputs and %u outputs, not %zu and %zu", h.inputs,
                  h.outputs, given, wanted);
  std::unique_ptr<Instance> instance = model.borrow();
  if (!instance) return false;
  Border border;
  bool fits = true;
  const file::Port* records = model.program.ports;
  for (u32 i = 0; fits && i < h.inputs; ++i)
    fits = border.enter(model.ports[i], records[i], model.program.sections, inputs[i],
                        *instance);
  for (u32 i = h.inputs; fits && i < h.inputs + h.outputs; ++i)
    fits = border.leave(model.ports[i], records[i], outputs[i - h.inputs], *instance);
  if (fits) {
    instance->run(border.entering(), border.leaving());
    border.copy_integers();
  }
  model.give_back(std::move(instance));
  return fits;
}

}  // namespace

extern "C" {

const char* iptq_version(void) { return IPTQ_VERSION; }

int iptq_abi(void) { return IPTQ_ABI; }

const char* iptq_last_error(void) { return last_error(); }

iptq_model* iptq_open(const char* path) {
  if (!path) return refuse("no path was given"), nullptr;
  std::unique_ptr<iptq_model> model(new (std::nothrow) iptq_model);
  if (!model) return refuse("no memory"), nullptr;
  const bool read = model->contents.map(path);
  return opened(std::move(model), read);
}

iptq_model* iptq_open_memory(const void* data, size_t bytes) {
  std::unique_ptr<iptq_model> model(new (std::nothrow) iptq_model);
  if (!model) return refuse("no memory"), nullptr;
  const bool read = model->contents.borrow(data, bytes);
  return opened(std::move(model), read);
}

void iptq_close(iptq_model* model) { delete model; }

const char* iptq_name(const iptq_model* model) { return model->program.texts; }

size_t iptq_inputs(const iptq_model* model) { return model->program.header.inputs; }

size_t iptq_outputs(const iptq_model* model) { return model->program.header.outputs; }

const iptq_port* iptq_input(const iptq_model* model, size_t number) {
  return number < iptq_inputs(model) ? &model->ports[number] : nullptr;
}

const iptq_port* iptq_output(const iptq_model* model, size_t number) {
  if (number >= iptq_outputs(model)) return nullptr;
  return &model->ports[iptq_inputs(model) + number];
}

size_t iptq_working_memory(const iptq_model* model) {
  const file::Header& h = model->program.header;
  return static_cast<size_t>(h.arena_bytes + h.commands_bytes +
                             most_scratch(model->program));
}

int iptq_predict(iptq_model* model, const iptq_array* inputs, size_t number_of_inputs,
                 const iptq_array* outputs, size_t number_of_outputs) {
  if (!model) return refuse("no model was given"), -1;
  return predict(*model, inputs, number_of_inputs, outputs, number_of_outputs) ? 0 : -1;
}

int iptq_set_threads(iptq_model* model, int threads) {
  if (!model) return refuse("no model was given"), -1;
  if (threads < 1 || threads > kMostThreads)
    return refuse("%d threads: 1 to %d are possible", threads, kMostThreads), -1;
  Held held(model->lock);
  model->threads = threads;
  return 0;
}

const char* iptq_instruction_set(int number) { return level_name(number); }

const char* iptq_instruction_set_in_use(void) { return level_name(current_level()); }

int iptq_use_instruction_set(const char* name) {
  for (int i = 0; name && level_name(i); ++i)
    if (!std::strcmp(level_name(i), name)) return use_level(i), 0;
  return refuse("this CPU has no instruction set '%s'", name ? name : ""), -1;
}

}  // extern "C"
