/* Softmax of a row of scores, and attention. The forms of exponentials are those of
   softmax/exponentials.inl of the package. */

enum { HALVING_BITS = 25, QUADRATIC_BITS = 14, VERTEX = 31997, FLOOR = 536204219 };

static inline int32_t halvings(const Softmax *s, int64_t difference)
{
    const int32_t h = signed32((uint32_t)difference * (uint32_t)s->multiplier);
    return s->cap && h > s->cap ? (int32_t)s->cap : h;
}

static inline int64_t quadratic_mantissa(int32_t h)
{
    const int32_t mask = (1 << QUADRATIC_BITS) - 1;
    const int64_t t =
        (shift_right(h, HALVING_BITS - QUADRATIC_BITS) & mask) - VERTEX;
    return t * t + FLOOR;
}

static inline int64_t tangent(const Softmax *s, int32_t h)
{
    const int32_t one = 1 << HALVING_BITS;
    const int32_t moved = h + (int32_t)s->half;
    const int32_t r = (moved & (one - 1)) - (int32_t)s->half;
    return shift_right(shift_right((int64_t)r * -11, 4) + one,
                       shift_right(moved, HALVING_BITS));
}

static inline int64_t exponential(const Softmax *s, int64_t difference)
{
    const int64_t one = (int64_t)1 << HALVING_BITS;
    int32_t h;
    if (s->form == TABLES) {
        const uint16_t *fine = (const uint16_t *)s->fine;
        const uint16_t *medium = (const uint16_t *)s->medium;
        const uint16_t *mantissa = (const uint16_t *)s->mantissa;
        const uint16_t *exponent = (const uint16_t *)s->exponent;
        uint32_t product;
        if (s->table) return ((const int32_t *)s->table)[difference];
        product = (uint32_t)fine[difference & 31] * medium[difference >> 5 & 31] >> 16;
        return product * mantissa[difference >> 10] >> exponent[difference >> 10];
    }
    h = halvings(s, difference);
    if (s->form == TANGENT) return tangent(s, h);
    if (s->form == CHORD)
        return shift_right(2 * one - (h & (one - 1)), shift_right(h, HALVING_BITS));
    return shift_right(quadratic_mantissa(h), shift_right(h, HALVING_BITS));
}

/* Scores become what they lie below the largest, limited and coarsened. */
static inline void differences(const Softmax *s, int32_t *scores, int64_t count)
{
    const uint32_t limit = (uint32_t)s->clamp;
    int32_t largest = scores[0];
    int64_t i;
    for (i = 1; i < count; ++i) largest = scores[i] > largest ? scores[i] : largest;
    for (i = 0; i < count; ++i) {
        const uint32_t d = (uint32_t)largest - (uint32_t)scores[i];
        scores[i] = signed32(d < limit ? d : limit);
        if (s->down)
            scores[i] = (int32_t)shift_right(shift_right(scores[i], s->down - 1) + 1, 1);
    }
}

/* log_int_softmax: codes of powers of two. */
static inline void powers(const Softmax *s, int32_t *scores, int64_t count)
{
    const int64_t one = (int64_t)VERTEX * VERTEX + FLOOR;
    const int32_t *table = (const int32_t *)s->table;
    int64_t total = 0, whole, middle, i;
    int32_t exponent = -1;
    for (i = 0; i < count; ++i) {
        scores[i] = halvings(s, scores[i]);
        total += shift_right(quadratic_mantissa(scores[i]),
                             shift_right(scores[i], HALVING_BITS));
    }
    total = total * 4 / 3;
    for (whole = total / one; whole; whole >>= 1) ++exponent;
    middle = total >> (exponent + 1);
    for (i = 0; i < count; ++i) {
        const int64_t code = shift_right(scores[i], HALVING_BITS) + exponent +
                             (quadratic_mantissa(scores[i]) <= middle);
        const int64_t last = s->codes - 1;
        scores[i] = (int32_t)(table[code < last ? code : last] + s->zero_point);
    }
}

/* Scores become codes of probabilities, in place. */
static inline void softmax_row(const Softmax *s, int32_t *scores, int64_t count)
{
    int64_t total = 0, reciprocal, i;
    differences(s, scores, count);
    if (s->form == POWERS) {
        powers(s, scores, count);
        return;
    }
    for (i = 0; i < count; ++i) {
        scores[i] = signed32((uint32_t)exponential(s, scores[i]));
        total += (uint32_t)scores[i];
    }
    reciprocal = ((total >> 1) + s->one) / total;
    for (i = 0; i < count; ++i) {
        const int64_t half = (int64_t)1 << (s->quotient_shift - 1);
        const int64_t wide = (int64_t)(uint32_t)scores[i] * reciprocal + half;
        const int64_t quotient = shift_right(wide, s->quotient_shift);
        scores[i] = (int32_t)((quotient < s->high ? quotient : s->high) + s->zero_point);
    }
}

static inline void run_softmax_rows(const SoftmaxRows *c)
{
    int64_t row, i;
    for (row = 0; row < c->rows; ++row) {
        for (i = 0; i < c->size; ++i)
            scratch[i] = (int32_t)(element_at(c->x, c->x_type, row * c->x_row + i) -
                                   c->x_zero_point);
        softmax_row(&c->softmax, scratch, c->size);
        for (i = 0; i < c->size; ++i)
            store_element((void *)c->out, c->out_type, row * c->out_row + i, scratch[i]);
    }
}

/* The scores of a query, with what is added to them. */
static inline void attention_scores(const Attention *a, int64_t group, int64_t row)
{
    const int64_t *q_at = (const int64_t *)a->q_at, *k_at = (const int64_t *)a->k_at;
    const uint8_t *q = (const uint8_t *)a->q + q_at[group] + row * a->q_row;
    int64_t key, d, n;
    for (key = 0; key < a->keys; ++key) {
        const uint8_t *k = (const uint8_t *)a->k + k_at[group] + key * a->k_row;
        int64_t score = 0;
        for (d = 0; d < a->depth; ++d)
            score += (q[d] - (int32_t)a->q_zero_point) * (k[d] - 128);
        score = requantized(score, &a->score);
        for (n = 0; n < a->additions; ++n) {
            const ScoreAddition *added = &a->addition[n];
            const int64_t at = ((const int64_t *)added->at)[group] + row * added->row;
            score = summed(score, element_at((const void *)added->addend, I32, at + key),
                           &added->sum);
        }
        scratch[key] = (int32_t)score;
    }
}

static inline void run_attention(const Attention *a)
{
    const int64_t *v_at = (const int64_t *)a->v_at, *out_at = (const int64_t *)a->out_at;
    int64_t group, row, c, key;
    for (group = 0; group < a->groups; ++group) {
        for (row = 0; row < a->queries; ++row) {
            attention_scores(a, group, row);
            softmax_row(&a->softmax, scratch, a->keys);
            for (c = 0; c < a->value_depth; ++c) {
                const uint8_t *v = (const uint8_t *)a->v + v_at[group] + c;
                int64_t sum = 0;
                for (key = 0; key < a->keys; ++key)
                    sum += (scratch[key] - (int32_t)a->softmax.zero_point) *
                           (v[key * a->v_row] - 128);
                store_element((void *)a->out, a->out_type,
                              out_at[group] + row * a->out_row + c,
                              requantized(sum, &a->result));
            }
        }
    }
}
