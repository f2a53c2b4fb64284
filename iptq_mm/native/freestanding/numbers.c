/* Arithmetic that C99 leaves open elsewhere, and elements in memory.

   Buffers of several types share the arena, so that elements are read and written byte by
   byte; compilers make one instruction of it. */

/* value >> shift, rounded down. C99 does not say so of negative numbers. */
static inline int64_t shift_right(int64_t value, int64_t shift)
{
    return value >= 0 ? value >> shift : ~(~value >> shift);
}

/* The signed number of these bits. */
static inline int64_t signed64(uint64_t bits)
{
    const uint64_t sign = (uint64_t)1 << 63;
    return bits < sign ? (int64_t)bits : -(int64_t)(~bits) - 1;
}

static inline int32_t signed32(uint32_t bits)
{
    return (int32_t)(bits < 0x80000000u ? (int64_t)bits : (int64_t)bits - 0x100000000);
}

/* left * right + more, which may wrap on the way to a result that fits. */
static inline int64_t multiply_add(int64_t left, int64_t right, int64_t more)
{
    return signed64((uint64_t)left * (uint64_t)right + (uint64_t)more);
}

static inline int64_t clamped(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static inline void copy_bytes(void *to, const void *from, int64_t count)
{
    unsigned char *target = (unsigned char *)to;
    const unsigned char *source = (const unsigned char *)from;
    int64_t i;
    for (i = 0; i < count; ++i) target[i] = source[i];
}

static inline int32_t byte_at(const void *data, int64_t at)
{
    return ((const uint8_t *)data)[at];
}

static inline int32_t signed_byte_at(const void *data, int64_t at)
{
    return (byte_at(data, at) ^ 128) - 128;
}

static inline int32_t word_at(const void *data, int64_t at)
{
    int16_t value;
    copy_bytes(&value, (const uint8_t *)data + 2 * at, 2);
    return value;
}

static inline int64_t size_of(int64_t type)
{
    return type == U8 || type == I8 ? 1 : type == I16 ? 2 : type == I32 ? 4 : 8;
}

/* An element of some type. */
static inline int64_t element_at(const void *data, int64_t type, int64_t at)
{
    int32_t dword;
    int64_t wide;
    switch (type) {
    case U8: return byte_at(data, at);
    case I8: return signed_byte_at(data, at);
    case I16: return word_at(data, at);
    case I32: copy_bytes(&dword, (const uint8_t *)data + 4 * at, 4); return dword;
    default: copy_bytes(&wide, (const uint8_t *)data + 8 * at, 8); return wide;
    }
}

/* What fits the type is stored; commands clamp before. */
static inline void store_element(void *data, int64_t type, int64_t at, int64_t value)
{
    uint8_t *to = (uint8_t *)data + at * size_of(type);
    const uint16_t word = (uint16_t)(uint64_t)value;
    const uint32_t dword = (uint32_t)(uint64_t)value;
    switch (type) {
    case U8:
    case I8: *to = (uint8_t)(uint64_t)value; return;
    case I16: copy_bytes(to, &word, 2); return;
    case I32: copy_bytes(to, &dword, 4); return;
    default: copy_bytes(to, &value, 8);
    }
}

static inline int64_t requantized(int64_t value, const Requantization *r)
{
    const int64_t wide = multiply_add(value, r->multiplier, r->offset);
    return clamped(shift_right(wide, r->shift), r->low, r->high);
}

static inline int64_t summed(int64_t a, int64_t b, const Sum *s)
{
    const int64_t wide = a * s->left + b * s->right + s->offset;
    return clamped(shift_right(wide, s->shift), s->low, s->high);
}
