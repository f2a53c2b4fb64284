/* Matrix products of constant weights, with everything that follows them.
   The order of the weights is that of product/panels.h of the package, the numbers of an
   epilogue are those of epilogue/epilogue.inl. */

/* Pixel (or row) `row` of the input at a tap. */
static inline const uint8_t *gemm_row(const Gemm *g, int64_t row, int64_t tap)
{
    const Window *w = &g->window;
    const uint8_t *input = (const uint8_t *)g->a;
    int64_t x, y, image;
    if (!g->taps) return input + row * g->a_row;
    x = row % w->out_width;
    y = row / w->out_width % w->out_height;
    image = row / w->out_width / w->out_height;
    x = x * w->stride_width - w->pad_left + tap % w->kernel_width * w->dilation_width;
    y = y * w->stride_height - w->pad_top + tap / w->kernel_width * w->dilation_height;
    if (x < 0 || x >= w->width || y < 0 || y >= w->height)
        return (const uint8_t *)w->zeros;
    return input + image * w->image + y * w->row + x * w->pixel;
}

/* Weight number `at` of a panel of 8 or 4 bits, before its factor. */
static inline int32_t gemm_code(const uint8_t *panel, int64_t bits, int64_t at)
{
    int32_t code;
    if (bits == 8) return signed_byte_at(panel, at);
    code = (at & 1 ? panel[at / 2] >> 4 : panel[at / 2]) & 15;
    return (code ^ 8) - 8;
}

/* Sums of products by bytes: a row and a panel of `columns` columns. */
static inline void gemm_bytes(const Gemm *g, int64_t row, int64_t first, int64_t columns,
                       int64_t *sums)
{
    const int64_t taps = g->taps ? g->taps : 1, groups = (g->k + 3) / 4;
    const uint8_t *panel =
        (const uint8_t *)g->weights + first * groups * 4 * g->bits / 8 * taps;
    const int64_t shared = g->group ? (groups * 4 + g->group - 1) / g->group : 0;
    const uint8_t *factors = (const uint8_t *)g->factors;
    int64_t tap, d, c;
    if (shared) factors += first * shared * taps / 2;
    for (tap = 0; tap < taps; ++tap) {
        const uint8_t *input = gemm_row(g, row, tap);
        for (d = 0; d < g->k; ++d) {
            const int64_t at = (tap * groups + d / 4) * columns * 4 + d % 4;
            const int64_t factor = shared ? (tap * shared + d / g->group) * columns : 0;
            const int64_t x = g->words ? word_at(input, d) : input[d];
            for (c = 0; c < columns; ++c) {
                int32_t weight = gemm_code(panel, g->bits, at + 4 * c);
                if (shared) {
                    const int32_t both = factors[(factor + c) / 2];
                    weight *= ((factor + c) & 1 ? both >> 4 : both & 15) + 1;
                }
                sums[c] += x * weight;
            }
        }
    }
}

/* The same of words by words. */
static inline void gemm_words(const Gemm *g, int64_t row, int64_t first, int64_t columns,
                       int64_t *sums)
{
    const int64_t taps = g->taps ? g->taps : 1, depth = (g->k + 3) / 4 * 4;
    const uint8_t *panel = (const uint8_t *)g->weights + 2 * first * depth * taps;
    int64_t tap, d, c;
    for (tap = 0; tap < taps; ++tap) {
        const uint8_t *input = gemm_row(g, row, tap);
        for (d = 0; d < g->k; ++d) {
            const int64_t at = (tap * depth + d) / 2 * columns * 2 + d % 2;
            const int64_t x = word_at(input, d);
            for (c = 0; c < columns; ++c) sums[c] += x * word_at(panel, at + 2 * c);
        }
    }
}

/* Each channel by itself; weights lie tap by tap. */
static inline void gemm_channels(const Gemm *g, int64_t row, int64_t first, int64_t columns,
                          int64_t *sums)
{
    const int64_t distance = (g->n + LANES - 1) / LANES * LANES;
    int64_t tap, c;
    for (tap = 0; tap < g->taps; ++tap) {
        const uint8_t *input = gemm_row(g, row, tap) + first;
        for (c = 0; c < columns && first + c < g->n; ++c)
            sums[c] += input[c] *
                       signed_byte_at(g->weights, tap * distance + first + c);
    }
}

/* The code of a sum, equations (3) and (4) of the epilogue. */
static inline int64_t gemm_requantized(const Gemm *g, int64_t sum, int64_t column)
{
    const int64_t *multiplier = (const int64_t *)g->multiplier;
    const int64_t *offset = (const int64_t *)g->offset;
    const int32_t *shift = (const int32_t *)g->shift, *up = (const int32_t *)g->up;
    int64_t wide, split;
    if (!g->quick) {
        wide = multiply_add(sum, multiplier[column], offset[column]);
        return clamped(shift_right(wide, shift[column]), g->low, g->high);
    }
    split = column / LANES * LANES + column % 2 * (LANES / 2) + column % LANES / 2;
    if (up) sum = sum * ((int64_t)1 << up[column]);
    wide = shift_right(sum * multiplier[split] + offset[split], 32);
    return clamped(shift_right(wide, shift[column]), g->low, g->high);
}

/* What follows: a table, a residual, another scale. */
static inline void gemm_finish(const Gemm *g, int64_t code, int64_t row, int64_t column)
{
    if (g->post == TABLE) {
        code = g->table_type == U8 ? byte_at(g->table, code - g->low)
                                   : word_at(g->table, code - g->low);
    } else if (g->post == ADD) {
        const int32_t *rows = (const int32_t *)g->residual_rows;
        const int64_t from = rows ? rows[row] : row;
        code = summed(code, word_at(g->residual, from * g->residual_row + column),
                      &g->sum);
    } else if (g->post == RESCALE) {
        code = summed(code, 0, &g->sum);
    }
    store_element((void *)g->out, g->out_type, row * g->out_row + column, code);
}

static inline void run_gemm(const Gemm *g)
{
    const int32_t *start = (const int32_t *)g->start, *rows = (const int32_t *)g->rows;
    const int64_t vectors = (g->n + LANES - 1) / LANES;
    int64_t row, first, c;
    for (row = 0; row < g->m; ++row) {
        const int64_t target = rows ? rows[row] : row;
        if (target < 0) continue;
        for (first = 0; first < g->n; first += g->width * LANES) {
            const int64_t rest = (vectors - first / LANES) * LANES;
            const int64_t columns = rest < g->width * LANES ? rest : g->width * LANES;
            int64_t sums[TILE_COLUMNS];
            for (c = 0; c < columns; ++c) sums[c] = start[first + c];
            if (g->window.depthwise) gemm_channels(g, row, first, columns, sums);
            else if (g->bits == 16) gemm_words(g, row, first, columns, sums);
            else gemm_bytes(g, row, first, columns, sums);
            for (c = 0; c < columns && first + c < g->n; ++c)
                gemm_finish(g, gemm_requantized(g, sums[c], first + c), target,
                            first + c);
        }
    }
}
