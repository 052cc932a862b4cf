// Tiles of a transposition.
//
// to[j · to_stride + i] = from[i · stride + j] for i < rows and j < columns, both at most a tile; whole vectors are
// read of every row, and written of every column.
#define BYTE_TILE 16
#define FLOAT_TILE 4

OCTET_INLINE void transpose_u8_tile(const uint8_t *from, size_t stride, const size_t rows, uint8_t *to,
                                    size_t to_stride, const size_t columns) {
    uint8x16_t a[16], b[16];
    OCTET_UNROLL
    for (size_t i = 0; i < 16; i++) a[i] = vld1q_u8(from + octet_smaller(i, rows - 1) * stride);
    // Four rounds of interleaving row i with row i + 8.
    OCTET_UNROLL
    for (int round = 0; round < 4; round++) {
        OCTET_UNROLL
        for (int i = 0; i < 8; i++) {
            b[2 * i] = vzip1q_u8(a[i], a[i + 8]);
            b[2 * i + 1] = vzip2q_u8(a[i], a[i + 8]);
        }
        OCTET_UNROLL
        for (int i = 0; i < 16; i++) a[i] = b[i];
    }
    OCTET_UNROLL
    for (size_t j = 0; j < 16; j++)
        if (j < columns) vst1q_u8(to + j * to_stride, a[j]);
}

OCTET_INLINE void transpose_f32_tile(const float *from, size_t stride, const size_t rows, float *to, size_t to_stride,
                                     const size_t columns) {
    float32x4_t a[4];
    OCTET_UNROLL
    for (size_t i = 0; i < 4; i++) a[i] = vld1q_f32(from + octet_smaller(i, rows - 1) * stride);
    // Two rounds of interleaving row i with row i + 2.
    OCTET_UNROLL
    for (int round = 0; round < 2; round++) {
        const float32x4_t b[] = {vzip1q_f32(a[0], a[2]), vzip2q_f32(a[0], a[2]),  //
                                 vzip1q_f32(a[1], a[3]), vzip2q_f32(a[1], a[3])};
        OCTET_UNROLL
        for (int i = 0; i < 4; i++) a[i] = b[i];
    }
    OCTET_UNROLL
    for (size_t j = 0; j < 4; j++)
        if (j < columns) vst1q_f32(to + j * to_stride, a[j]);
}
