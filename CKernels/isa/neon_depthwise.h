// What depthwise convolution with vectors of 16 bytes shares. They differ in what a stack is.

// MARK: - Narrowing

OCTET_INLINE short_vector int_narrow(int_vector a, int_vector b) { return vqmovn_high_s32(vqmovn_s32(a), b); }
OCTET_INLINE short_vector short_add(short_vector a, short_vector b) { return vqaddq_s16(a, b); }
OCTET_INLINE byte_vector short_narrow(short_vector a, short_vector b) { return vqmovun_high_s16(vqmovun_s16(a), b); }
OCTET_INLINE void quarters_in_order(int_vector v[4]) { (void)v; }

// MARK: - Vectors in one piece of memory

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

#define STACK_SUMS 20

#ifdef STACK_DOT
// Stacks of four rows, for STACK_DOT(sum, a, w); STACK_SHIFT is what makes activations what it wants.
#define STACK_ROWS 4
#define STACK_HELD 12
typedef int8_t stack_weight;
typedef int8x16_t stack_vector;
OCTET_INLINE void stack_half(const byte_vector *rows, const size_t filled, const bool upper, stack_vector quarters[2]) {
    const uint8x16_t r1 = rows[filled > 1 ? 1 : 0], r2 = rows[filled > 2 ? 2 : 0];
    const uint8x16_t r3 = rows[filled > 3 ? 3 : filled - 1], flips = vdupq_n_u8(STACK_SHIFT);
    const uint16x8_t a = vreinterpretq_u16_u8(veorq_u8(upper ? vzip2q_u8(rows[0], r1) : vzip1q_u8(rows[0], r1), flips));
    const uint16x8_t b = vreinterpretq_u16_u8(veorq_u8(upper ? vzip2q_u8(r2, r3) : vzip1q_u8(r2, r3), flips));
    quarters[0] = vreinterpretq_s8_u16(vzip1q_u16(a, b));
    quarters[1] = vreinterpretq_s8_u16(vzip2q_u16(a, b));
}
OCTET_INLINE int_vector stack_dot(int_vector sum, stack_vector a, stack_vector w) { return STACK_DOT(sum, a, w); }
#else
// Stacks of one row, widened to 16 bits.
#define STACK_ROWS 1
#define STACK_SHIFT 0
#define STACK_HELD 0
typedef int16_t stack_weight;
typedef int16x4_t stack_vector;
OCTET_INLINE void stack_half(const byte_vector *rows, const size_t filled, const bool upper, stack_vector quarters[2]) {
    (void)filled;
    const int16x8_t wide = vreinterpretq_s16_u16(vmovl_u8(upper ? vget_high_u8(rows[0]) : vget_low_u8(rows[0])));
    quarters[0] = vget_low_s16(wide);
    quarters[1] = vget_high_s16(wide);
}
OCTET_INLINE int_vector stack_dot(int_vector sum, stack_vector a, stack_vector w) { return vmlal_s16(sum, a, w); }
#endif
