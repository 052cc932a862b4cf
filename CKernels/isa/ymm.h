// What the instruction sets with 256-bit vectors share (AVX2 with FMA): 8 lanes of 32 bits. They differ in how they
// multiply bytes.
#define LANES 8
#define BYTE_LANES 32

typedef __m256i int_vector;
typedef __m256 float_vector;
typedef __m256i byte_vector;
typedef __m256i short_vector;

#include "few_bytes.h"

// MARK: - Tiles: 12 accumulators, two vectors of weights, one of activations

#define TILES_TALL(STAMP, panels) \
    STAMP(1, panels) STAMP(2, panels) STAMP(3, panels) STAMP(4, panels) STAMP(5, panels) STAMP(6, panels)
#define TILES_WIDE(STAMP, panels) STAMP(1, panels) STAMP(2, panels) STAMP(3, panels)
#define TILES(STAMP) TILES_TALL(STAMP, 1) TILES_TALL(STAMP, 2) TILES_WIDE(STAMP, 3) TILES_WIDE(STAMP, 4)
#define TILE_MR 6
#define TILE_SHORT_MR TILE_MR
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
OCTET_INLINE int_vector int_and(int_vector a, int_vector b) { return _mm256_and_si256(a, b); }
OCTET_INLINE int_vector int_or(int_vector a, int_vector b) { return _mm256_or_si256(a, b); }
OCTET_INLINE int_vector int_shift_left(int_vector v, int bits) { return _mm256_slli_epi32(v, bits); }
// a = b ? yes : no
OCTET_INLINE int_vector int_if_equal(int_vector a, int_vector b, int_vector yes, int_vector no) {
    return _mm256_blendv_epi8(no, yes, _mm256_cmpeq_epi32(a, b));
}

// MARK: - float32

OCTET_INLINE float_vector float_broadcast(float x) { return _mm256_set1_ps(x); }
OCTET_INLINE float_vector float_load(const float *p) { return _mm256_loadu_ps(p); }
OCTET_INLINE void float_store(float *p, float_vector v) { _mm256_storeu_ps(p, v); }
OCTET_INLINE float_vector float_add(float_vector a, float_vector b) { return _mm256_add_ps(a, b); }
OCTET_INLINE float_vector float_subtract(float_vector a, float_vector b) { return _mm256_sub_ps(a, b); }
OCTET_INLINE float_vector float_multiply(float_vector a, float_vector b) { return _mm256_mul_ps(a, b); }
OCTET_INLINE float_vector float_divide(float_vector a, float_vector b) { return _mm256_div_ps(a, b); }
OCTET_INLINE float_vector float_square_root(float_vector v) { return _mm256_sqrt_ps(v); }
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
// a < b ? yes : no
OCTET_INLINE float_vector float_if_less(float_vector a, float_vector b, float_vector yes, float_vector no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
OCTET_INLINE int_vector float_bits(float_vector v) { return _mm256_castps_si256(v); }
OCTET_INLINE float_vector float_with_bits(int_vector bits) { return _mm256_castsi256_ps(bits); }
OCTET_INLINE bool float_has_nan(float_vector v) { return _mm256_movemask_ps(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)) != 0; }
// For lanes without NaN
OCTET_INLINE float float_smallest(float_vector v) {
    __m128 least = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    least = _mm_min_ps(least, _mm_movehl_ps(least, least));
    return _mm_cvtss_f32(_mm_min_ss(least, _mm_movehdup_ps(least)));
}
OCTET_INLINE float float_largest(float_vector v) {
    __m128 most = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
}
OCTET_INLINE float_vector float_from_int(int_vector v) { return _mm256_cvtepi32_ps(v); }
OCTET_INLINE int_vector float_round(float_vector v) { return _mm256_cvtps_epi32(v); }  // half to even
// Half to even; beyond the range of int16, any number beyond it on the same side. (Too large a number becomes the least
// integer: right for negative ones only.)
OCTET_INLINE int_vector float_round_saturating(float_vector v) {
    return _mm256_cvtps_epi32(_mm256_min_ps(v, _mm256_set1_ps(65536)));
}
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
OCTET_INLINE byte_vector byte_add(byte_vector a, byte_vector b) { return _mm256_add_epi8(a, b); }
OCTET_INLINE byte_vector byte_max(byte_vector a, byte_vector b) { return _mm256_max_epu8(a, b); }
OCTET_INLINE byte_vector byte_min(byte_vector a, byte_vector b) { return _mm256_min_epu8(a, b); }
OCTET_INLINE __m128i load_half(const uint8_t *p, size_t count) {
    if (count == 16) return _mm_loadu_si128((const __m128i *)p);
    if (count <= 8) return _mm_cvtsi64_si128((long long)load_bytes(p, count));
    // The last eight bytes, of which some are among the first eight.
    return _mm_set_epi64x((long long)(load_bytes(p + count - 8, 8) >> (8 * (16 - count))), (long long)load_bytes(p, 8));
}
OCTET_INLINE void store_half(uint8_t *p, __m128i v, size_t count) {
    if (count == 16) {
        _mm_storeu_si128((__m128i *)p, v);
    } else if (count <= 8) {
        store_bytes(p, (uint64_t)_mm_cvtsi128_si64(v), count);
    } else {
        _mm_storel_epi64((__m128i *)p, v);
        store_bytes(p + 8, (uint64_t)_mm_extract_epi64(v, 1), count - 8);
    }
}
OCTET_INLINE byte_vector byte_load_part(const uint8_t *p, size_t count) {
    if (count <= 16) return _mm256_zextsi128_si256(load_half(p, count));
    return _mm256_set_m128i(load_half(p + 16, count - 16), load_half(p, 16));
}
OCTET_INLINE void byte_store_part(uint8_t *p, byte_vector v, size_t count) {
    if (count <= 16) {
        store_half(p, _mm256_castsi256_si128(v), count);
    } else {
        store_half(p, _mm256_castsi256_si128(v), 16);
        store_half(p + 16, _mm256_extracti128_si256(v, 1), count - 16);
    }
}

// Whether looking bytes up is quicker than requantizing them.
#define BYTE_TABLE_IS_QUICK 0
// A table of 256 bytes as 16 rows of 16. A shuffle looks up the low four bits, or gives 0 where the index is negative;
// each half of 8 rows holds differences: what rows 0 ... r hold in place j, combined by exclusive or, is entry 16 r +
// j.
typedef struct {
    __m256i row[16];
} byte_table;
OCTET_INLINE byte_table byte_table_load(const uint8_t *entries) {
    byte_table table;
    OCTET_UNROLL
    for (int r = 0; r < 16; r++) {
        __m128i row = _mm_loadu_si128((const __m128i *)(entries + 16 * r));
        if (r % 8) row = _mm_xor_si128(row, _mm_loadu_si128((const __m128i *)(entries + 16 * (r - 1))));
        table.row[r] = _mm256_broadcastsi128_si256(row);
    }
    return table;
}
OCTET_INLINE __m256i look_up_half(const __m256i row[8], __m256i index) {
    __m256i found = _mm256_shuffle_epi8(row[0], index);
    OCTET_UNROLL
    for (int r = 1; r < 8; r++) {
        index = _mm256_sub_epi8(index, _mm256_set1_epi8(16));
        found = _mm256_xor_si256(found, _mm256_shuffle_epi8(row[r], index));
    }
    return found;
}
OCTET_INLINE byte_vector byte_look_up(const byte_table *table, byte_vector v) {
    const __m256i upper = look_up_half(table->row + 8, _mm256_xor_si256(v, _mm256_set1_epi8(-128)));
    return _mm256_blendv_epi8(look_up_half(table->row, v), upper, v);
}

// MARK: - Four vectors of 32-bit lanes as one of bytes, in their order

OCTET_INLINE short_vector short_broadcast(int16_t x) { return _mm256_set1_epi16(x); }
OCTET_INLINE short_vector short_add(short_vector a, short_vector b) { return _mm256_adds_epi16(a, b); }
OCTET_INLINE short_vector int_narrow(int_vector a, int_vector b) { return _mm256_packs_epi32(a, b); }
OCTET_INLINE byte_vector short_narrow(short_vector a, short_vector b) { return _mm256_packus_epi16(a, b); }
// Packing works on halves of 128 bits.
OCTET_INLINE byte_vector in_order(__m256i packed) {
    return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
// v saturated to int16, plus zero, saturated to 0 ... 255
OCTET_INLINE byte_vector byte_saturate(const int_vector v[4], short_vector zero) {
    const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(v[0], v[1]), zero);
    const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(v[2], v[3]), zero);
    return in_order(_mm256_packus_epi16(low, high));
}
OCTET_INLINE __m256i between(float_vector v, float_vector low, float_vector high) {
    return _mm256_castps_si256(_mm256_and_ps(_mm256_cmp_ps(v, low, _CMP_GE_OQ), _mm256_cmp_ps(v, high, _CMP_LE_OQ)));
}
// 1 where low ≤ v ≤ high, else 0
OCTET_INLINE byte_vector byte_flags(const float_vector v[4], float_vector low, float_vector high) {
    const __m256i first = _mm256_packs_epi32(between(v[0], low, high), between(v[1], low, high));
    const __m256i second = _mm256_packs_epi32(between(v[2], low, high), between(v[3], low, high));
    return _mm256_and_si256(in_order(_mm256_packs_epi16(first, second)), _mm256_set1_epi8(1));
}

#include "float32_tile.h"
#include "transpose_x86.h"
