/* LayerNorms: exact sums of a row, one integer root and one division. The forms are those
   of normalization/layer_norm.inl of the package. */

/* floor(sqrt(value)), bit by bit. */
static inline uint64_t integer_root(uint64_t value)
{
    uint64_t root = 0, bit = (uint64_t)1 << 62;
    while (bit > value) bit >>= 2;
    for (; bit; bit >>= 2) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root;
}

/* A number of a row of FQ-ViT: its multiplier is rounded to 8 bits and a shift. */
static inline int64_t scaled_by_powers(const LayerNorm *n, int64_t y, int64_t reciprocal,
                                int64_t column)
{
    const int64_t factor = ((const int32_t *)n->multiplier)[column];
    const int64_t power = ((const int32_t *)n->exponent)[column];
    int64_t exponent = -15, product, cut, size, down, wide, rest;
    for (rest = reciprocal; rest; rest >>= 1) ++exponent;
    product = (factor < 0 ? -factor : factor) * shift_right(reciprocal, exponent);
    cut = 21 + (product >> 29);
    size = (product + ((int64_t)1 << (cut - 1))) >> cut;
    down = clamped(n->up - 16 + 24 + 62 - exponent - power - cut, 0, 62);
    wide = (factor < 0 ? -size : size) * y * ((int64_t)1 << 24);
    return shift_right(shift_right(wide, down) + ((const int64_t *)n->addend)[column], 16);
}

static inline void normalize_row(const LayerNorm *n, const uint8_t *x, int64_t target)
{
    const int32_t *multiplier = (const int32_t *)n->multiplier;
    const int64_t *addend = (const int64_t *)n->addend;
    const uint64_t count = (uint64_t)n->size;
    uint64_t total = 0, squares = 0, spread, value;
    int64_t factor = n->size, centre, reciprocal, bits, c;
    for (c = 0; c < n->size; ++c) {
        const int64_t number = word_at(x, c);
        total += (uint64_t)number;
        squares += (uint64_t)(number * number);
    }
    centre = signed64(total);
    spread = count * squares - total * total;
    if (n->form != IVIT) {
        const int64_t sum = centre * ((int64_t)1 << n->up) + n->size / 2;
        const uint64_t scale = (uint64_t)1 << n->up;
        uint64_t mean;
        centre = sum / n->size - (sum % n->size < 0);
        mean = (uint64_t)centre;
        factor = (int64_t)1 << n->up;
        if (n->form == IBERT)
            spread = scale * scale * squares - 2 * scale * mean * total +
                     count * mean * mean;
    }
    value = (spread << (2 * n->root_shift)) + (uint64_t)n->epsilon;
    bits = n->form == FQVIT ? 62 : n->reciprocal_bits;
    reciprocal = signed64(((uint64_t)1 << bits) / integer_root(value));
    for (c = 0; c < n->size; ++c) {
        const int64_t y = word_at(x, c) * factor - centre;
        int64_t code;
        if (n->form == FQVIT) {
            code = scaled_by_powers(n, y, reciprocal, c);
        } else {
            const int64_t z = shift_right(multiply_add(y, reciprocal, 0), n->drop);
            code = shift_right(z * multiplier[c] + addend[c], n->shift);
        }
        store_element((void *)n->out, n->out_type, target * n->out_row + c,
                      clamped(code, n->low, n->high));
    }
}

static inline void run_layer_norm(const LayerNorm *n)
{
    const int32_t *from = (const int32_t *)n->rows_from;
    int64_t row, c;
    for (row = 0; row < n->rows; ++row) {
        const int64_t source = from ? from[row] : row;
        if (source >= 0) {
            normalize_row(n, (const uint8_t *)n->x + 2 * source * n->x_row, row);
            continue;
        }
        for (c = 0; c < n->size; ++c)
            store_element((void *)n->out, n->out_type, row * n->out_row + c,
                          n->zero_point);
    }
}
