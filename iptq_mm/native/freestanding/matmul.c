/* Products of two tensors of which neither is constant. */

static inline void run_matmul(const MatMul *c)
{
    const int64_t *a_at = (const int64_t *)c->a_at, *b_at = (const int64_t *)c->b_at;
    const int64_t *out_at = (const int64_t *)c->out_at;
    const int64_t b_zero_point = c->b_type == U8 ? 128 : 0;
    int64_t group, row, column, d;
    for (group = 0; group < c->groups; ++group)
        for (row = 0; row < c->m; ++row)
            for (column = 0; column < c->n; ++column) {
                const int64_t a = a_at[group] + row * c->a_row;
                const int64_t b = b_at[group] + column * (c->by_columns ? c->b_row : 1);
                const int64_t step = c->by_columns ? 1 : c->b_row;
                int64_t sum = 0;
                for (d = 0; d < c->k; ++d)
                    sum += (element_at(c->a, c->a_type, a + d) - c->a_zero_point) *
                           (element_at(c->b, c->b_type, b + d * step) - b_zero_point);
                store_element((void *)c->out, c->out_type,
                              out_at[group] + row * c->out_row + column,
                              requantized(sum, &c->result));
            }
}
