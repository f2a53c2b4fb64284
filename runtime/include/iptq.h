/* Runs integer models (files that end with .iptq) without Python.
 *
 * A model may be run by several threads at a time, and a process may have several models.
 * Functions that return an int give 0, or -1 for an error; those that return a pointer
 * give NULL for an error. iptq_last_error() then says what is wrong, in words.
 *
 *   iptq_model* model = iptq_open("model.iptq");
 *   iptq_array input = {IPTQ_UINT8, pixels, 3 * 224 * 224};
 *   iptq_array output = {IPTQ_FLOAT32, logits, 1000 * sizeof(float)};
 *   if (!model || iptq_predict(model, &input, 1, &output, 1)) puts(iptq_last_error());
 *   iptq_close(model);
 */
#ifndef IPTQ_H
#define IPTQ_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define IPTQ_PUBLIC __attribute__((visibility("default")))
#else
#define IPTQ_PUBLIC
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this interface: functions are added, never changed, within one. */
#define IPTQ_ABI 1
#define IPTQ_MOST_DIMENSIONS 8

typedef struct iptq_model iptq_model;

/* Types of elements. */
typedef enum iptq_type {
  IPTQ_UINT8 = 0,
  IPTQ_INT8 = 1,
  IPTQ_INT16 = 2,
  IPTQ_INT32 = 3,
  IPTQ_FLOAT32 = 5
} iptq_type;

/* What an input is. */
typedef enum iptq_kind {
  IPTQ_REAL = 0,    /* real numbers: integers are clip(rint(real / scale), low, high) */
  IPTQ_PIXELS = 1,  /* images: 0 to 255, or normalized floats */
  IPTQ_GIVEN = 2    /* integers that stand for themselves: token ids, masks */
} iptq_kind;

/* An input or an output. Its texts and numbers live as long as the model. */
typedef struct iptq_port {
  const char* name;
  iptq_kind kind;
  iptq_type integers; /* type of its integers */
  double scale;       /* real value of the integer 1 */
  int64_t low, high;  /* range of its integers */
  int rank;
  int64_t shape[IPTQ_MOST_DIMENSIONS];
  int64_t elements;   /* the product of the shape */
  /* Images, shape (number, channels, height, width); otherwise NULL and 0: */
  const char* order;  /* "RGB", "BGR", "grey", or "" where nobody knows */
  const double* mean; /* normalized: (pixel - mean) / std, by channel, in pixels */
  const double* std;
  int channels;
} iptq_port;

/* Memory of the caller: what an input is read from, or an output is written to. */
typedef struct iptq_array {
  iptq_type type;
  void* data;
  size_t bytes; /* exactly those of the port's elements */
} iptq_array;

/* Version of the library, such as "0.3.0". */
IPTQ_PUBLIC const char* iptq_version(void);
/* IPTQ_ABI of the library that is linked. */
IPTQ_PUBLIC int iptq_abi(void);
/* What went wrong in this thread's last call that failed; "" if none did. */
IPTQ_PUBLIC const char* iptq_last_error(void);

/* Opens a file. It is mapped, not copied: nobody may change it while it is open. */
IPTQ_PUBLIC iptq_model* iptq_open(const char* path);
/* The same for a file's contents in memory, which stay where they are, unchanged, until
 * iptq_close. They are copied if they do not begin at a multiple of 64 bytes. */
IPTQ_PUBLIC iptq_model* iptq_open_memory(const void* data, size_t bytes);
/* No call may be running. NULL is ignored. */
IPTQ_PUBLIC void iptq_close(iptq_model* model);

/* Name of the model: its regions. */
IPTQ_PUBLIC const char* iptq_name(const iptq_model* model);
IPTQ_PUBLIC size_t iptq_inputs(const iptq_model* model);
IPTQ_PUBLIC size_t iptq_outputs(const iptq_model* model);
/* Describe one of them; NULL if there are not so many. */
IPTQ_PUBLIC const iptq_port* iptq_input(const iptq_model* model, size_t number);
IPTQ_PUBLIC const iptq_port* iptq_output(const iptq_model* model, size_t number);
/* Bytes that a call with one thread needs besides the file; calls that run at the same
 * time need as many each. */
IPTQ_PUBLIC size_t iptq_working_memory(const iptq_model* model);

/* Runs the model. An input is float32, uint8 for pixels, or of the port's integers; an
 * output float32 (integers times scale) or of the port's integers. */
IPTQ_PUBLIC int iptq_predict(iptq_model* model, const iptq_array* inputs,
                             size_t number_of_inputs, const iptq_array* outputs,
                             size_t number_of_outputs);

/* Threads of each call from now on, 1 at first; at most 64. */
IPTQ_PUBLIC int iptq_set_threads(iptq_model* model, int threads);

/* Name of an instruction set that this CPU has, from 0 on; NULL beyond the best. */
IPTQ_PUBLIC const char* iptq_instruction_set(int number);
/* The one that is used: the best, unless another one was chosen. */
IPTQ_PUBLIC const char* iptq_instruction_set_in_use(void);
/* Chooses one for all models of the process, while none of them runs. */
IPTQ_PUBLIC int iptq_use_instruction_set(const char* name);

#ifdef __cplusplus
}
#endif

#endif
