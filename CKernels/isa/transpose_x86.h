// Tiles of a transposition in 128-bit vectors (bytes) and 256-bit ones (floats), which is as wide as they need to be.
//
// to[j · to_stride + i] = from[i · stride + j] for i < rows and j < columns, both at most a tile; whole vectors are
// read of every row, and written of every column.
#define BYTE_TILE 16
#define FLOAT_TILE 8

OCTET_INLINE void transpose_u8_tile(const uint8_t *from, size_t stride, const size_t rows, uint8_t *to,
                                    size_t to_stride, const size_t columns) {
    __m128i a[16], b[16];
    OCTET_UNROLL
    for (size_t i = 0; i < 16; i++)
        a[i] = _mm_loadu_si128((const __m128i *)(from + octet_smaller(i, rows - 1) * stride));
    // Four rounds of interleaving row i with row i + 8.
    OCTET_UNROLL
    for (int round = 0; round < 4; round++) {
        OCTET_UNROLL
        for (int i = 0; i < 8; i++) {
            b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
            b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
        }
        OCTET_UNROLL
        for (int i = 0; i < 16; i++) a[i] = b[i];
    }
    OCTET_UNROLL
    for (size_t j = 0; j < 16; j++)
        if (j < columns) _mm_storeu_si128((__m128i *)(to + j * to_stride), a[j]);
}

OCTET_INLINE void transpose_f32_tile(const float *from, size_t stride, const size_t rows, float *to, size_t to_stride,
                                     const size_t columns) {
    __m256 a[8], b[8];
    OCTET_UNROLL
    for (size_t i = 0; i < 8; i++) a[i] = _mm256_loadu_ps(from + octet_smaller(i, rows - 1) * stride);
    OCTET_UNROLL
    for (int i = 0; i < 4; i++) {
        b[2 * i] = _mm256_unpacklo_ps(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm256_unpackhi_ps(a[2 * i], a[2 * i + 1]);
    }
    OCTET_UNROLL
    for (int i = 0; i < 2; i++) {
        OCTET_UNROLL
        for (int j = 0; j < 2; j++) {
            a[4 * i + 2 * j] = _mm256_shuffle_ps(b[4 * i + j], b[4 * i + 2 + j], _MM_SHUFFLE(1, 0, 1, 0));
            a[4 * i + 2 * j + 1] = _mm256_shuffle_ps(b[4 * i + j], b[4 * i + 2 + j], _MM_SHUFFLE(3, 2, 3, 2));
        }
    }
    OCTET_UNROLL
    for (int j = 0; j < 4; j++) {
        b[j] = _mm256_permute2f128_ps(a[j], a[j + 4], 0x20);
        b[j + 4] = _mm256_permute2f128_ps(a[j], a[j + 4], 0x31);
    }
    OCTET_UNROLL
    for (size_t j = 0; j < 8; j++)
        if (j < columns) _mm256_storeu_ps(to + j * to_stride, b[j]);
}
