// The vocabulary of AVX-512 with VNNI: 16 lanes of 32 bits, vpdpbusd (u8 · s8, four products into a lane, exact).

#define ISA_NAME "avx512vnni"
#define ISA_SYMBOL octet_isa_avx512vnni
#define ISA_FEATURES "AVX-512 F BW VL DQ VNNI"
#define ISA_DOT "vpdpbusd zmm"

#define LANES 16
#define BYTE_LANES 64

typedef __m512i int_vector;
typedef __m512 float_vector;
typedef __m512i byte_vector;
typedef __m512i short_vector;

// MARK: - Tiles: 28 accumulators, two vectors of weights, one of activations

// clang-format off
#define TILES_TALL(STAMP, panels)                                                         \
    STAMP(1, panels) STAMP(2, panels) STAMP(3, panels) STAMP(4, panels) STAMP(5, panels)  \
    STAMP(6, panels) STAMP(7, panels) STAMP(8, panels) STAMP(9, panels) STAMP(10, panels) \
    STAMP(11, panels) STAMP(12, panels) STAMP(13, panels) STAMP(14, panels)
#define TILES_WIDE(STAMP, panels)                                        \
    STAMP(1, panels) STAMP(2, panels) STAMP(3, panels) STAMP(4, panels)  \
    STAMP(5, panels) STAMP(6, panels)
// clang-format on
#define TILES(STAMP) TILES_TALL(STAMP, 1) TILES_TALL(STAMP, 2) TILES_WIDE(STAMP, 3) TILES_WIDE(STAMP, 4)
#define TILE_MR 14
#define TILE_SHORT_MR 8
#define TILE_PANELS 2
#define TILE_WIDE_MR 6
#define TILE_WIDE_PANELS 4

#define INT8_KR 4
typedef uint8_t int8_stored;
typedef __m512i int8_activations;
typedef __m512i int8_weights;
OCTET_INLINE int8_activations int8_broadcast(const void *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}
OCTET_INLINE int8_weights int8_load_weights(const void *p) { return _mm512_load_si512(p); }
OCTET_INLINE int_vector int8_dot(int_vector sum, int8_activations a, int8_weights w) {
    return _mm512_dpbusd_epi32(sum, a, w);
}
// Hides from the compiler that a value does not change (for loops that only measure).
#define OPAQUE(vector) __asm__ volatile("" : "+v"(vector))

// MARK: - 32-bit integers

OCTET_INLINE int_vector int_broadcast(int32_t x) { return _mm512_set1_epi32(x); }
OCTET_INLINE int_vector int_load(const int32_t *p) { return _mm512_loadu_si512(p); }
OCTET_INLINE int_vector int_add(int_vector a, int_vector b) { return _mm512_add_epi32(a, b); }
OCTET_INLINE int_vector int_subtract(int_vector a, int_vector b) { return _mm512_sub_epi32(a, b); }
OCTET_INLINE int_vector int_multiply(int_vector a, int_vector b) { return _mm512_mullo_epi32(a, b); }
OCTET_INLINE int_vector int_and(int_vector a, int_vector b) { return _mm512_and_si512(a, b); }
OCTET_INLINE int_vector int_or(int_vector a, int_vector b) { return _mm512_or_si512(a, b); }
OCTET_INLINE int_vector int_shift_left(int_vector v, unsigned bits) { return _mm512_slli_epi32(v, bits); }
// a = b ? yes : no
OCTET_INLINE int_vector int_if_equal(int_vector a, int_vector b, int_vector yes, int_vector no) {
    return _mm512_mask_mov_epi32(no, _mm512_cmpeq_epi32_mask(a, b), yes);
}
OCTET_INLINE void int_store(int32_t *p, int_vector v) { _mm512_storeu_si512(p, v); }

// MARK: - float32

OCTET_INLINE float_vector float_broadcast(float x) { return _mm512_set1_ps(x); }
OCTET_INLINE float_vector float_load(const float *p) { return _mm512_loadu_ps(p); }
OCTET_INLINE void float_store(float *p, float_vector v) { _mm512_storeu_ps(p, v); }
OCTET_INLINE float_vector float_add(float_vector a, float_vector b) { return _mm512_add_ps(a, b); }
OCTET_INLINE float_vector float_subtract(float_vector a, float_vector b) { return _mm512_sub_ps(a, b); }
OCTET_INLINE float_vector float_multiply(float_vector a, float_vector b) { return _mm512_mul_ps(a, b); }
OCTET_INLINE float_vector float_divide(float_vector a, float_vector b) { return _mm512_div_ps(a, b); }
OCTET_INLINE float_vector float_square_root(float_vector v) { return _mm512_sqrt_ps(v); }
OCTET_INLINE float_vector float_multiply_add(float_vector sum, float_vector a, float_vector b) {
    return _mm512_fmadd_ps(a, b, sum);
}
// a > b ? a : b and a < b ? a : b, so b where either is NaN
OCTET_INLINE float_vector float_max(float_vector a, float_vector b) { return _mm512_max_ps(a, b); }
OCTET_INLINE float_vector float_min(float_vector a, float_vector b) { return _mm512_min_ps(a, b); }
OCTET_INLINE float_vector float_zero_where_nan(float_vector x, float_vector nan_like) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(nan_like, nan_like, _CMP_ORD_Q), x);
}
// low ≤ x ≤ high ? yes : no
OCTET_INLINE float_vector float_if_between(float_vector x, float_vector low, float_vector high, float_vector yes,
                                           float_vector no) {
    const __mmask16 above = _mm512_cmp_ps_mask(x, low, _CMP_GE_OQ);
    return _mm512_mask_blend_ps(_mm512_mask_cmp_ps_mask(above, x, high, _CMP_LE_OQ), no, yes);
}
// a < b ? yes : no
OCTET_INLINE float_vector float_if_less(float_vector a, float_vector b, float_vector yes, float_vector no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
OCTET_INLINE int_vector float_bits(float_vector v) { return _mm512_castps_si512(v); }
OCTET_INLINE float_vector float_with_bits(int_vector bits) { return _mm512_castsi512_ps(bits); }
OCTET_INLINE bool float_has_nan(float_vector v) { return _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q) != 0; }
// For lanes without NaN
OCTET_INLINE float float_smallest(float_vector v) { return _mm512_reduce_min_ps(v); }
OCTET_INLINE float float_largest(float_vector v) { return _mm512_reduce_max_ps(v); }
OCTET_INLINE float_vector float_from_int(int_vector v) { return _mm512_cvtepi32_ps(v); }
OCTET_INLINE int_vector float_round(float_vector v) { return _mm512_cvtps_epi32(v); }  // half to even
// Half to even; beyond the range of int16, any number beyond it on the same side. (Too large a number becomes the least
// integer: right for negative ones only.)
OCTET_INLINE int_vector float_round_saturating(float_vector v) {
    return _mm512_cvtps_epi32(_mm512_min_ps(v, _mm512_set1_ps(65536)));
}
OCTET_INLINE int_vector float_truncate(float_vector v) { return _mm512_cvttps_epi32(v); }

// MARK: - Bytes as 32-bit lanes; a store keeps the low byte

OCTET_INLINE int_vector int_load_u8(const uint8_t *p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}
OCTET_INLINE int_vector int_load_s8(const int8_t *p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
}
OCTET_INLINE void int_store_u8(uint8_t *p, int_vector v) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(v)); }

// MARK: - The first `count` lanes (1 ... LANES): nothing else is touched, missing lanes read as 0

OCTET_INLINE __mmask16 lanes(size_t count) { return (__mmask16)((1u << count) - 1); }
OCTET_INLINE void int_store_part(int32_t *p, int_vector v, size_t count) {
    _mm512_mask_storeu_epi32(p, lanes(count), v);
}
OCTET_INLINE int_vector int_load_part(const int32_t *p, size_t count) {
    return _mm512_maskz_loadu_epi32(lanes(count), p);
}
OCTET_INLINE float_vector float_load_part(const float *p, size_t count) {
    return _mm512_maskz_loadu_ps(lanes(count), p);
}
OCTET_INLINE void float_store_part(float *p, float_vector v, size_t count) {
    _mm512_mask_storeu_ps(p, lanes(count), v);
}
OCTET_INLINE int_vector int_load_u8_part(const uint8_t *p, size_t count) {
    return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes(count), p));
}
OCTET_INLINE int_vector int_load_s8_part(const int8_t *p, size_t count) {
    return _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes(count), p));
}
OCTET_INLINE void int_store_u8_part(uint8_t *p, int_vector v, size_t count) {
    _mm_mask_storeu_epi8(p, lanes(count), _mm512_cvtepi32_epi8(v));
}

// MARK: - Bytes as bytes

OCTET_INLINE byte_vector byte_broadcast(uint8_t x) { return _mm512_set1_epi8((char)x); }
OCTET_INLINE byte_vector byte_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
OCTET_INLINE void byte_store(uint8_t *p, byte_vector v) { _mm512_storeu_si512(p, v); }
OCTET_INLINE byte_vector byte_add(byte_vector a, byte_vector b) { return _mm512_add_epi8(a, b); }
OCTET_INLINE byte_vector byte_max(byte_vector a, byte_vector b) { return _mm512_max_epu8(a, b); }
OCTET_INLINE byte_vector byte_min(byte_vector a, byte_vector b) { return _mm512_min_epu8(a, b); }
OCTET_INLINE __mmask64 byte_lanes(size_t count) { return _cvtu64_mask64(~0ull >> (BYTE_LANES - count)); }
OCTET_INLINE byte_vector byte_load_part(const uint8_t *p, size_t count) {
    return _mm512_maskz_loadu_epi8(byte_lanes(count), p);
}
OCTET_INLINE void byte_store_part(uint8_t *p, byte_vector v, size_t count) {
    _mm512_mask_storeu_epi8(p, byte_lanes(count), v);
}

// Whether looking bytes up is quicker than requantizing them.
#define BYTE_TABLE_IS_QUICK 1
// A table of 256 bytes as 128 pairs: a permutation of words looks up a pair in one half of the table.
typedef struct {
    __m512i pairs[4];
} byte_table;
OCTET_INLINE byte_table byte_table_load(const uint8_t *entries) {
    byte_table table;
    OCTET_UNROLL
    for (int i = 0; i < 4; i++) table.pairs[i] = _mm512_loadu_si512(entries + 64 * i);
    return table;
}
// The pair of every word whose index stands in its low 7 bits, of which `upper` is the seventh.
OCTET_INLINE __m512i look_up_pairs(const byte_table *t, __m512i index, __mmask32 upper) {
    const __m512i low = _mm512_permutex2var_epi16(t->pairs[0], index, t->pairs[1]);
    return _mm512_mask_mov_epi16(low, upper, _mm512_permutex2var_epi16(t->pairs[2], index, t->pairs[3]));
}
OCTET_INLINE byte_vector byte_look_up(const byte_table *table, byte_vector v) {
    const __mmask64 odd_bytes = _cvtu64_mask64(0xaaaaaaaaaaaaaaaa);
    const __m512i even = look_up_pairs(table, _mm512_srli_epi16(v, 1), _mm512_movepi16_mask(_mm512_slli_epi16(v, 8)));
    const __m512i odd = look_up_pairs(table, _mm512_srli_epi16(v, 9), _mm512_movepi16_mask(v));
    const __m512i first = _mm512_mask_mov_epi8(even, odd_bytes, _mm512_slli_epi16(odd, 8));
    const __m512i second = _mm512_mask_mov_epi8(_mm512_srli_epi16(even, 8), odd_bytes, odd);
    return _mm512_mask_mov_epi8(first, _mm512_test_epi8_mask(v, _mm512_set1_epi8(1)), second);
}

// MARK: - Four vectors of 32-bit lanes as one of bytes, in their order

OCTET_INLINE short_vector short_broadcast(int16_t x) { return _mm512_set1_epi16(x); }
// v saturated to int16, plus zero, saturated to 0 ... 255
OCTET_INLINE byte_vector byte_saturate(const int_vector v[4], short_vector zero) {
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), zero);
    const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(v[2], v[3]), zero);
    // Packing works on quarters of 128 bits.
    const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(in_order, _mm512_packus_epi16(low, high));
}
OCTET_INLINE __mmask16 between(float_vector v, float_vector low, float_vector high) {
    return _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(v, low, _CMP_GE_OQ), v, high, _CMP_LE_OQ);
}
// 1 where low ≤ v ≤ high, else 0
OCTET_INLINE byte_vector byte_flags(const float_vector v[4], float_vector low, float_vector high) {
    const __mmask32 first = _mm512_kunpackw(between(v[1], low, high), between(v[0], low, high));
    const __mmask32 second = _mm512_kunpackw(between(v[3], low, high), between(v[2], low, high));
    return _mm512_maskz_set1_epi8(_mm512_kunpackd(second, first), 1);
}

// MARK: - Four vectors of 32-bit numbers to 64 bytes

#define INT8_PACKS(tile) true
// Bytes of a tile on their way to memory, four vectors at a time.
typedef struct {
    __m512i zero, lowest, highest, order;
    uint8_t *to;
    size_t stride;
    __mmask64 whole;  // the lanes of a pixel that exist
} int8_packer;
OCTET_INLINE int8_packer int8_packer_make(const octet_tile *t) {
    const octet_epilogue *e = t->epilogue;
    return (int8_packer){
        .zero = _mm512_set1_epi16((short)e->zero),
        .lowest = _mm512_set1_epi8((char)((int32_t)e->lower + e->zero)),
        .highest = _mm512_set1_epi8((char)((int32_t)e->upper + e->zero)),
        .order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
        .to = t->output,
        .stride = t->output_stride,
        .whole = (__mmask64)-1 >> (64 - t->channels),
    };
}
// Vectors first ..< first + 4 of `count`, which follow one another panel by panel, then pixel by pixel.
OCTET_INLINE void int8_pack_store(const int8_packer *p, const int_vector *values, size_t first, size_t count,
                                  const size_t panels) {
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(values[0], values[1]), p->zero);
    const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(values[2], values[3]), p->zero);
    const __m512i mixed = _mm512_max_epu8(_mm512_packus_epi16(low, high), p->lowest);
    const __m512i bytes = _mm512_permutexvar_epi32(p->order, _mm512_min_epu8(mixed, p->highest));
    if (panels == 4) {
        _mm512_mask_storeu_epi8(p->to + first / 4 * p->stride, p->whole, bytes);
    } else if (panels == 2) {
        uint8_t *to = p->to + first / 2 * p->stride;
        _mm256_mask_storeu_epi8(to, (__mmask32)p->whole, _mm512_castsi512_si256(bytes));
        if (first + 2 < count)
            _mm256_mask_storeu_epi8(to + p->stride, (__mmask32)p->whole, _mm512_extracti64x4_epi64(bytes, 1));
    } else {
        const __m128i parts[] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
                                 _mm512_extracti32x4_epi32(bytes, 2), _mm512_extracti32x4_epi32(bytes, 3)};
        OCTET_UNROLL
        for (size_t i = first; i < octet_smaller(first + 4, count); i++) {
            const size_t panel = i % panels;
            _mm_mask_storeu_epi8(p->to + i / panels * p->stride + panel * LANES, (__mmask16)(p->whole >> panel * LANES),
                                 parts[i - first]);
        }
    }
}

// MARK: - Weights of 4 and 8 bits by signed activations

#define QUAD_PANELS 2
#define QUAD_SHIFT 0
typedef __m512i quad_activations;
typedef byte_vector quad_weights;
OCTET_INLINE quad_activations quad_broadcast(const int8_t *p) { return int8_broadcast(p); }
OCTET_INLINE byte_vector byte_low_nibbles(byte_vector v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
OCTET_INLINE byte_vector byte_high_nibbles(byte_vector v) { return byte_low_nibbles(_mm512_srli_epi16(v, 4)); }
OCTET_INLINE quad_weights quad_weights_make(byte_vector w) { return w; }
OCTET_INLINE int_vector quad_dot(int_vector sums, quad_weights w, quad_activations a) {
    return _mm512_dpbusd_epi32(sums, w, a);
}
#define nibble_dot quad_dot
#include "quads.h"

#include "zmm_depthwise.h"
#include "float32_tile.h"
#include "transpose_x86.h"
