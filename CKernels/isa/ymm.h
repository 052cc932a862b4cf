// What the instruction sets with 256-bit vectors share (AVX2 with FMA): 8 lanes of 32 bits. They differ in how they
// multiply bytes.
#define LANES 8
#define BYTE_LANES 32

typedef __m256i int_vector;
typedef __m256 float_vector;
typedef __m256i byte_vector;

#include "few_bytes.h"

// MARK: - Tiles: 12 accumulators, two vectors of weights, one of activations

#define TILES_TALL(STAMP, panels) \
    STAMP(1, panels) STAMP(2, panels) STAMP(3, panels) STAMP(4, panels) STAMP(5, panels) STAMP(6, panels)
#define TILES_WIDE(STAMP, panels) STAMP(1, panels) STAMP(2, panels) STAMP(3, panels)
#define TILES(STAMP) TILES_TALL(STAMP, 1) TILES_TALL(STAMP, 2) TILES_WIDE(STAMP, 3) TILES_WIDE(STAMP, 4)
#define TILE_MR 6
#define TILE_PANELS 2
#define TILE_WIDE_MR 3
#define TILE_WIDE_PANELS 4

// Hides from the compiler that a value does not change (for loops that only measure).
#define OPAQUE(vector) __asm__ volatile("" : "+x"(vector))

// MARK: - 32-bit integers

OCTET_INLINE int_vector int_broadcast(int32_t x) { return _mm256_set1_epi32(x); }
OCTET_INLINE int_vector int_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
OCTET_INLINE void int_store(int32_t *p, int_vector v) { _mm256_storeu_si256((__m256i *)p, v); }
OCTET_INLINE int_vector int_add(int_vector a, int_vector b) { return _mm256_add_epi32(a, b); }
OCTET_INLINE int_vector int_subtract(int_vector a, int_vector b) { return _mm256_sub_epi32(a, b); }
OCTET_INLINE int_vector int_multiply(int_vector a, int_vector b) { return _mm256_mullo_epi32(a, b); }

// MARK: - float32

OCTET_INLINE float_vector float_broadcast(float x) { return _mm256_set1_ps(x); }
OCTET_INLINE float_vector float_load(const float *p) { return _mm256_loadu_ps(p); }
OCTET_INLINE void float_store(float *p, float_vector v) { _mm256_storeu_ps(p, v); }
OCTET_INLINE float_vector float_add(float_vector a, float_vector b) { return _mm256_add_ps(a, b); }
OCTET_INLINE float_vector float_subtract(float_vector a, float_vector b) { return _mm256_sub_ps(a, b); }
OCTET_INLINE float_vector float_multiply(float_vector a, float_vector b) { return _mm256_mul_ps(a, b); }
OCTET_INLINE float_vector float_divide(float_vector a, float_vector b) { return _mm256_div_ps(a, b); }
OCTET_INLINE float_vector float_multiply_add(float_vector sum, float_vector a, float_vector b) {
    return _mm256_fmadd_ps(a, b, sum);
}
// a > b ? a : b and a < b ? a : b, so b where either is NaN
OCTET_INLINE float_vector float_max(float_vector a, float_vector b) { return _mm256_max_ps(a, b); }
OCTET_INLINE float_vector float_min(float_vector a, float_vector b) { return _mm256_min_ps(a, b); }
OCTET_INLINE float_vector float_zero_where_nan(float_vector x, float_vector nan_like) {
    return _mm256_and_ps(x, _mm256_cmp_ps(nan_like, nan_like, _CMP_ORD_Q));
}
// low ≤ x ≤ high ? yes : no
OCTET_INLINE float_vector float_if_between(float_vector x, float_vector low, float_vector high, float_vector yes,
                                           float_vector no) {
    const __m256 inside = _mm256_and_ps(_mm256_cmp_ps(x, low, _CMP_GE_OQ), _mm256_cmp_ps(x, high, _CMP_LE_OQ));
    return _mm256_blendv_ps(no, yes, inside);
}
OCTET_INLINE float_vector float_from_int(int_vector v) { return _mm256_cvtepi32_ps(v); }
OCTET_INLINE int_vector float_round(float_vector v) { return _mm256_cvtps_epi32(v); }  // half to even
OCTET_INLINE int_vector float_truncate(float_vector v) { return _mm256_cvttps_epi32(v); }

// MARK: - Bytes as 32-bit lanes; a store keeps the low byte

OCTET_INLINE int_vector int_load_u8(const uint8_t *p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
OCTET_INLINE int_vector int_load_s8(const int8_t *p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
OCTET_INLINE __m128i low_bytes(int_vector v) {
    const __m256i first_bytes = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,  //
                                                 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m256i picked = _mm256_shuffle_epi8(v, first_bytes);
    return _mm_unpacklo_epi32(_mm256_castsi256_si128(picked), _mm256_extracti128_si256(picked, 1));
}
OCTET_INLINE void int_store_u8(uint8_t *p, int_vector v) { _mm_storel_epi64((__m128i *)p, low_bytes(v)); }

// MARK: - The first `count` lanes (1 ... LANES): nothing else is touched, missing lanes read as 0

OCTET_INLINE __m256i lanes(size_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
OCTET_INLINE int_vector int_load_part(const int32_t *p, size_t count) {
    return count == LANES ? int_load(p) : _mm256_maskload_epi32(p, lanes(count));
}
OCTET_INLINE void int_store_part(int32_t *p, int_vector v, size_t count) {
    if (count == LANES) {
        int_store(p, v);
    } else {
        _mm256_maskstore_epi32(p, lanes(count), v);
    }
}
OCTET_INLINE float_vector float_load_part(const float *p, size_t count) {
    return count == LANES ? float_load(p) : _mm256_maskload_ps(p, lanes(count));
}
OCTET_INLINE void float_store_part(float *p, float_vector v, size_t count) {
    if (count == LANES) {
        float_store(p, v);
    } else {
        _mm256_maskstore_ps(p, lanes(count), v);
    }
}
OCTET_INLINE int_vector int_load_u8_part(const uint8_t *p, size_t count) {
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)load_bytes(p, count)));
}
OCTET_INLINE int_vector int_load_s8_part(const int8_t *p, size_t count) {
    return _mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)load_bytes(p, count)));
}
OCTET_INLINE void int_store_u8_part(uint8_t *p, int_vector v, size_t count) {
    store_bytes(p, (uint64_t)_mm_cvtsi128_si64(low_bytes(v)), count);
}

// MARK: - Bytes as bytes

OCTET_INLINE byte_vector byte_broadcast(uint8_t x) { return _mm256_set1_epi8((char)x); }
OCTET_INLINE byte_vector byte_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
OCTET_INLINE void byte_store(uint8_t *p, byte_vector v) { _mm256_storeu_si256((__m256i *)p, v); }
OCTET_INLINE byte_vector byte_max(byte_vector a, byte_vector b) { return _mm256_max_epu8(a, b); }
OCTET_INLINE byte_vector byte_min(byte_vector a, byte_vector b) { return _mm256_min_epu8(a, b); }
OCTET_INLINE byte_vector byte_load_part(const uint8_t *p, size_t count) {
    uint64_t words[4] = {0};
    for (size_t i = 0; i * 8 < count; i++) words[i] = load_bytes(p + i * 8, octet_smaller(count - i * 8, 8));
    return _mm256_setr_epi64x((long long)words[0], (long long)words[1], (long long)words[2], (long long)words[3]);
}
OCTET_INLINE void byte_store_part(uint8_t *p, byte_vector v, size_t count) {
    uint64_t words[4];
    _mm256_storeu_si256((__m256i *)words, v);
    for (size_t i = 0; i * 8 < count; i++) store_bytes(p + i * 8, words[i], octet_smaller(count - i * 8, 8));
}

#include "float32_tile.h"
