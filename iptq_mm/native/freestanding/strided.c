/* Elementwise commands and means of strided tensors; runs of bytes from anywhere. */

static inline int64_t elements_of(const int64_t *shape)
{
    int64_t count = 1;
    int d;
    for (d = 0; d < DIMS; ++d) count *= shape[d];
    return count;
}

/* Where an element lies, by its number. */
static inline int64_t place_of(const View *v, const int64_t *shape, int64_t number)
{
    int64_t at = 0;
    int d;
    for (d = DIMS - 1; d >= 0; --d) {
        at += number % shape[d] * v->stride[d];
        number /= shape[d];
    }
    return at;
}

static inline int64_t view_at(const View *v, const int64_t *shape, int64_t number)
{
    return element_at(v->data, v->type, place_of(v, shape, number)) - v->zero_point;
}

static inline void store_view(const View *v, const int64_t *shape, int64_t number, int64_t value)
{
    store_element((void *)v->data, v->type, place_of(v, shape, number),
                  value + v->zero_point);
}

static inline void run_add(const Add *c)
{
    const int64_t count = elements_of(c->shape);
    int64_t i;
    for (i = 0; i < count; ++i) {
        const int64_t b = c->b.data ? view_at(&c->b, c->shape, i) : 0;
        store_view(&c->out, c->shape, i, summed(view_at(&c->a, c->shape, i), b, &c->sum));
    }
}

static inline void run_multiply(const Multiply *c)
{
    const int64_t count = elements_of(c->shape);
    int64_t i;
    for (i = 0; i < count; ++i) {
        const int64_t b = view_at(&c->b, c->shape, i);
        const int64_t product = view_at(&c->a, c->shape, i) * b;
        store_view(&c->out, c->shape, i, requantized(product, &c->result));
    }
}

static inline void run_lookup(const Lookup *c)
{
    const int64_t count = elements_of(c->shape);
    int64_t i;
    for (i = 0; i < count; ++i) {
        const int64_t at =
            clamped(view_at(&c->a, c->shape, i) - c->first, 0, c->last);
        store_view(&c->out, c->shape, i, ((const int32_t *)c->table)[at]);
    }
}

static inline void run_copy(const Copy *c)
{
    const int64_t count = elements_of(c->shape);
    int64_t i;
    for (i = 0; i < count; ++i)
        copy_bytes((uint8_t *)c->out.data + place_of(&c->out, c->shape, i) * c->size,
                   (const uint8_t *)c->a.data + place_of(&c->a, c->shape, i) * c->size,
                   c->size);
}

static inline void run_gather(const Gather *c)
{
    const int64_t type = c->element == 1 ? U8 : c->element == 2 ? I16
                         : c->element == 4 ? I32 : I64;
    int64_t run, i;
    for (run = 0; run < c->runs; ++run) {
        const int64_t from = ((const int64_t *)c->runs_from)[run];
        uint8_t *to = (uint8_t *)c->out + run * c->size;
        if (from >= 0 && from <= c->last)
            copy_bytes(to, (const uint8_t *)c->a + from, c->size);
        else
            for (i = 0; i < c->size / c->element; ++i)
                store_element(to, type, i, c->zero_point);
    }
}

static inline void run_mean(const Mean *c)
{
    const int64_t all = elements_of(c->shape);
    int64_t kept = 1, each, k, i;
    for (i = 0; i < c->kept; ++i) kept *= c->shape[i];
    each = all / kept;
    for (k = 0; k < kept; ++k) {
        int64_t total = c->largest ? INT32_MIN : 0;
        for (i = k * each; i < (k + 1) * each; ++i) {
            const int64_t value = view_at(&c->a, c->shape, i);
            if (!c->largest) total += value;
            else if (value > total) total = value;
        }
        store_view(&c->out, c->shape, k * each, requantized(total, &c->result));
    }
}
