// Depthwise convolution in plain C: stacks of one row, in the order that vectors give them.
OCTET_INLINE short_vector int_narrow(int_vector a, int_vector b) {
    short_vector v;
    FOR_LANES v.lane[i / 4 * 8 + i % 4] = a.lane[i], v.lane[i / 4 * 8 + 4 + i % 4] = b.lane[i];
    for (int i = 0; i < 2 * LANES; i++) {
        const int32_t x = v.lane[i];
        v.lane[i] = x < INT16_MIN ? INT16_MIN : x > INT16_MAX ? INT16_MAX : x;
    }
    return v;
}
OCTET_INLINE short_vector short_add(short_vector a, short_vector b) {
    for (int i = 0; i < 2 * LANES; i++) a.lane[i] += b.lane[i];
    return a;
}
OCTET_INLINE byte_vector short_narrow(short_vector a, short_vector b) {
    byte_vector v;
    for (int i = 0; i < 4 * LANES; i++) {
        const int32_t x = (i % 16 < 8 ? a : b).lane[i / 16 * 8 + i % 8];
        v.lane[i] = (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
    }
    return v;
}
OCTET_INLINE void quarters_in_order(int_vector v[4]) {
    int32_t ordered[4 * LANES];
    for (int i = 0; i < 4 * LANES; i++) ordered[i] = v[i / 4 % 4].lane[i / 16 * 4 + i % 4];
    for (int i = 0; i < 4 * LANES; i++) v[i / LANES].lane[i % LANES] = ordered[i];
}

#define BYTE_PIECES 1
OCTET_INLINE byte_vector byte_gather(const uint8_t *const *from, const size_t pieces) {
    (void)pieces;
    return byte_load(from[0]);
}
OCTET_INLINE void byte_scatter(uint8_t *const *to, byte_vector v, const size_t pieces) {
    (void)pieces;
    byte_store(to[0], v);
}
OCTET_INLINE byte_vector byte_gather_part(const uint8_t *const *from, size_t count) {
    return byte_load_part(from[0], count);
}

#define STACK_ROWS 1
#define STACK_SHIFT 0
#define STACK_SUMS 0
#define STACK_HELD 0
typedef int8_t stack_weight;
typedef struct {
    int8_t lane[LANES];  // weights, or the bits of activations
} stack_vector;
OCTET_INLINE void stack_half(const byte_vector *rows, const size_t filled, const bool upper, stack_vector quarters[2]) {
    (void)filled;
    for (int k = 0; k < 2; k++)
        FOR_LANES quarters[k].lane[i] = (int8_t)rows[0].lane[i / 4 * 16 + (upper ? 8 : 0) + 4 * k + i % 4];
}
OCTET_INLINE int_vector stack_dot(int_vector sum, stack_vector a, stack_vector w) {
    FOR_LANES sum.lane[i] += (uint8_t)a.lane[i] * w.lane[i];
    return sum;
}
