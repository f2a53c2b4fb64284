/* The smallest whole program: opens a model, gives it pixels, prints the best class.
 *
 *   classify MODEL.iptq PIXELS
 *
 * PIXELS has the bytes of one image, plane after plane, in the model's order of channels.
 */
#include <iptq.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char* what) {
  fprintf(stderr, "%s\n", what);
  return 1;
}

int main(int count, char** values) {
  if (count != 3) return fail("classify MODEL.iptq PIXELS");
  iptq_model* model = iptq_open(values[1]);
  if (!model) return fail(iptq_last_error());

  const iptq_port* image = iptq_input(model, 0);
  const iptq_port* classes = iptq_output(model, 0);
  unsigned char* pixels = malloc((size_t)image->elements);
  float* logits = malloc((size_t)classes->elements * sizeof *logits);
  FILE* file = fopen(values[2], "rb");
  if (!pixels || !logits || !file ||
      fread(pixels, 1, (size_t)image->elements, file) != (size_t)image->elements)
    return fail("the pixels cannot be read");
  fclose(file);

  iptq_array input = {IPTQ_UINT8, pixels, (size_t)image->elements};
  iptq_array output = {IPTQ_FLOAT32, logits, (size_t)classes->elements * sizeof *logits};
  if (iptq_predict(model, &input, 1, &output, 1)) return fail(iptq_last_error());

  int64_t best = 0;
  for (int64_t i = 1; i < classes->elements; ++i)
    if (logits[i] > logits[best]) best = i;
  printf("class %lld: %.6g\n", (long long)best, logits[best]);

  free(logits);
  free(pixels);
  iptq_close(model);
  return 0;
}
