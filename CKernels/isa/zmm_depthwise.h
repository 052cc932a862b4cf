// Depthwise convolution with 512-bit vectors: stacks of four bytes, for vpdpbusd.

// MARK: - Narrowing and interleaving, within 128 bits

OCTET_INLINE short_vector int_narrow(int_vector a, int_vector b) { return _mm512_packs_epi32(a, b); }
OCTET_INLINE short_vector short_add(short_vector a, short_vector b) { return _mm512_adds_epi16(a, b); }
OCTET_INLINE byte_vector short_narrow(short_vector a, short_vector b) { return _mm512_packus_epi16(a, b); }
OCTET_INLINE void quarters_in_order(int_vector v[4]) {
    const __m512i a = _mm512_shuffle_i32x4(v[0], v[1], 0x44), b = _mm512_shuffle_i32x4(v[0], v[1], 0xee);
    const __m512i c = _mm512_shuffle_i32x4(v[2], v[3], 0x44), d = _mm512_shuffle_i32x4(v[2], v[3], 0xee);
    v[0] = _mm512_shuffle_i32x4(a, c, 0x88);
    v[1] = _mm512_shuffle_i32x4(a, c, 0xdd);
    v[2] = _mm512_shuffle_i32x4(b, d, 0x88);
    v[3] = _mm512_shuffle_i32x4(b, d, 0xdd);
}

// MARK: - Vectors in one, two or four pieces of memory

#define BYTE_PIECES 4
OCTET_INLINE byte_vector byte_gather(const uint8_t *const *from, const size_t pieces) {
    if (pieces == 1) return byte_load(from[0]);
    if (pieces == 2) {
        const __m256i first = _mm256_loadu_si256((const __m256i *)from[0]);
        return _mm512_inserti64x4(_mm512_castsi256_si512(first), _mm256_loadu_si256((const __m256i *)from[1]), 1);
    }
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)from[0]));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)from[1]), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)from[2]), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)from[3]), 3);
}
OCTET_INLINE void byte_scatter(uint8_t *const *to, byte_vector v, const size_t pieces) {
    if (pieces == 1) {
        byte_store(to[0], v);
    } else if (pieces == 2) {
        _mm256_storeu_si256((__m256i *)to[0], _mm512_castsi512_si256(v));
        _mm256_storeu_si256((__m256i *)to[1], _mm512_extracti64x4_epi64(v, 1));
    } else {
        _mm_storeu_si128((__m128i *)to[0], _mm512_castsi512_si128(v));
        _mm_storeu_si128((__m128i *)to[1], _mm512_extracti32x4_epi32(v, 1));
        _mm_storeu_si128((__m128i *)to[2], _mm512_extracti32x4_epi32(v, 2));
        _mm_storeu_si128((__m128i *)to[3], _mm512_extracti32x4_epi32(v, 3));
    }
}
// Four pieces of `count` bytes, at most 16
OCTET_INLINE byte_vector byte_gather_part(const uint8_t *const *from, size_t count) {
    const __mmask16 some = lanes(count);
    __m512i v = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(some, from[0]));
    v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(some, from[1]), 1);
    v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(some, from[2]), 2);
    return _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(some, from[3]), 3);
}

// MARK: - Stacks

#define STACK_ROWS 4
#define STACK_SHIFT 0
#define STACK_SUMS 20
#define STACK_HELD 12
typedef int8_t stack_weight;
typedef __m512i stack_vector;
// The lower or the upper two quarters of `filled` rows.
OCTET_INLINE void stack_half(const byte_vector *rows, const size_t filled, const bool upper, stack_vector quarters[2]) {
    const __m512i r1 = rows[filled > 1 ? 1 : 0], r2 = rows[filled > 2 ? 2 : 0], r3 = rows[filled > 3 ? 3 : filled - 1];
    const __m512i a = upper ? _mm512_unpackhi_epi8(rows[0], r1) : _mm512_unpacklo_epi8(rows[0], r1);
    const __m512i b = upper ? _mm512_unpackhi_epi8(r2, r3) : _mm512_unpacklo_epi8(r2, r3);
    quarters[0] = _mm512_unpacklo_epi16(a, b);
    quarters[1] = _mm512_unpackhi_epi16(a, b);
}
OCTET_INLINE int_vector stack_dot(int_vector sum, stack_vector a, stack_vector w) { return int8_dot(sum, a, w); }
