// Depthwise convolution with 256-bit vectors: stacks of as many rows as a lane multiplies at once.

// MARK: - Narrowing and interleaving, within 128 bits

OCTET_INLINE void quarters_in_order(int_vector v[4]) {
    const __m256i first = v[0], second = v[1], third = v[2], fourth = v[3];
    v[0] = _mm256_permute2x128_si256(first, second, 0x20);
    v[1] = _mm256_permute2x128_si256(third, fourth, 0x20);
    v[2] = _mm256_permute2x128_si256(first, second, 0x31);
    v[3] = _mm256_permute2x128_si256(third, fourth, 0x31);
}

// MARK: - Vectors in one or two pieces of memory

#define BYTE_PIECES 2
OCTET_INLINE byte_vector byte_gather(const uint8_t *const *from, const size_t pieces) {
    if (pieces == 1) return byte_load(from[0]);
    const __m128i first = _mm_loadu_si128((const __m128i *)from[0]);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first), _mm_loadu_si128((const __m128i *)from[1]), 1);
}
OCTET_INLINE void byte_scatter(uint8_t *const *to, byte_vector v, const size_t pieces) {
    if (pieces == 1) {
        byte_store(to[0], v);
    } else {
        _mm_storeu_si128((__m128i *)to[0], _mm256_castsi256_si128(v));
        _mm_storeu_si128((__m128i *)to[1], _mm256_extracti128_si256(v, 1));
    }
}
// Two pieces of `count` bytes, at most 16
OCTET_INLINE byte_vector byte_gather_part(const uint8_t *const *from, size_t count) {
    return _mm256_set_m128i(load_half(from[1], count), load_half(from[0], count));
}

// MARK: - Stacks

#define STACK_SHIFT 0
#define STACK_SUMS 8
#define STACK_HELD 0
typedef __m256i stack_vector;
#if STACK_ROWS == 4
typedef int8_t stack_weight;
OCTET_INLINE void stack_half(const byte_vector *rows, const size_t filled, const bool upper, stack_vector quarters[2]) {
    const __m256i r1 = rows[filled > 1 ? 1 : 0], r2 = rows[filled > 2 ? 2 : 0], r3 = rows[filled > 3 ? 3 : filled - 1];
    const __m256i a = upper ? _mm256_unpackhi_epi8(rows[0], r1) : _mm256_unpacklo_epi8(rows[0], r1);
    const __m256i b = upper ? _mm256_unpackhi_epi8(r2, r3) : _mm256_unpacklo_epi8(r2, r3);
    quarters[0] = _mm256_unpacklo_epi16(a, b);
    quarters[1] = _mm256_unpackhi_epi16(a, b);
}
#else
typedef int16_t stack_weight;
// The lower or the upper two quarters of one or two rows, widened to 16 bits.
OCTET_INLINE __m256i widened_quarter(__m256i row, const char first) {
    const int at = first | 0x80808000;
    return _mm256_shuffle_epi8(row, _mm256_add_epi32(_mm256_set1_epi32(at), _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3)));
}
OCTET_INLINE void stack_half(const byte_vector *rows, const size_t filled, const bool upper, stack_vector quarters[2]) {
    if (filled == 1) {
        quarters[0] = widened_quarter(rows[0], upper ? 8 : 0);
        quarters[1] = widened_quarter(rows[0], upper ? 12 : 4);
    } else {
        const __m256i pair = upper ? _mm256_unpackhi_epi8(rows[0], rows[1]) : _mm256_unpacklo_epi8(rows[0], rows[1]);
        quarters[0] = _mm256_unpacklo_epi8(pair, _mm256_setzero_si256());
        quarters[1] = _mm256_unpackhi_epi8(pair, _mm256_setzero_si256());
    }
}
#endif
OCTET_INLINE int_vector stack_dot(int_vector sum, stack_vector a, stack_vector w) { return int8_dot(sum, a, w); }
