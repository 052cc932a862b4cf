// The vocabulary in plain C, for every architecture and as the yardstick of the others: a vector is a small array, and
// the loops over its lanes are left to the compiler.
#define ISA_NAME "scalar"
#define ISA_SYMBOL octet_isa_scalar
#define ISA_FEATURES "none"
#define ISA_DOT "C"

#define LANES 8
#define BYTE_LANES 32

typedef struct {
    int32_t lane[LANES];
} int_vector;
typedef struct {
    float lane[LANES];
} float_vector;
typedef struct {
    uint8_t lane[BYTE_LANES];
} byte_vector;
typedef struct {
    int32_t lane[2 * LANES];  // saturated where they are narrowed
} short_vector;

#define FOR_LANES for (int i = 0; i < LANES; i++)

// MARK: - Tiles

#define TILES(STAMP) STAMP(1, 1) STAMP(2, 1) STAMP(3, 1) STAMP(4, 1)
#define TILE_MR 4
#define TILE_SHORT_MR TILE_MR
#define TILE_PANELS 1
#define TILE_WIDE_MR 1
#define TILE_WIDE_PANELS 1

#define INT8_KR 1
typedef uint8_t int8_stored;
typedef int32_t int8_activations;
typedef struct {
    int32_t lane[LANES];
} int8_weights;
OCTET_INLINE int8_activations int8_broadcast(const void *p) { return *(const uint8_t *)p; }
OCTET_INLINE int8_weights int8_load_weights(const void *p) {
    int8_weights w;
    FOR_LANES w.lane[i] = ((const int8_t *)p)[i];
    return w;
}
OCTET_INLINE int_vector int8_dot(int_vector sum, int8_activations a, int8_weights w) {
    FOR_LANES sum.lane[i] += a * w.lane[i];
    return sum;
}
#define OPAQUE(vector) __asm__ volatile("" : "+m"(vector))

// MARK: - 32-bit integers

OCTET_INLINE int_vector int_broadcast(int32_t x) {
    int_vector v;
    FOR_LANES v.lane[i] = x;
    return v;
}
OCTET_INLINE int_vector int_load(const int32_t *p) {
    int_vector v;
    FOR_LANES v.lane[i] = p[i];
    return v;
}
OCTET_INLINE void int_store(int32_t *p, int_vector v) { FOR_LANES p[i] = v.lane[i]; }
OCTET_INLINE int_vector int_add(int_vector a, int_vector b) {
    FOR_LANES a.lane[i] = (int32_t)((uint32_t)a.lane[i] + (uint32_t)b.lane[i]);
    return a;
}
OCTET_INLINE int_vector int_subtract(int_vector a, int_vector b) {
    FOR_LANES a.lane[i] -= b.lane[i];
    return a;
}
OCTET_INLINE int_vector int_multiply(int_vector a, int_vector b) {
    FOR_LANES a.lane[i] *= b.lane[i];
    return a;
}
OCTET_INLINE int_vector int_if_equal(int_vector a, int_vector b, int_vector yes, int_vector no) {
    FOR_LANES no.lane[i] = a.lane[i] == b.lane[i] ? yes.lane[i] : no.lane[i];
    return no;
}
OCTET_INLINE int_vector int_and(int_vector a, int_vector b) {
    FOR_LANES a.lane[i] &= b.lane[i];
    return a;
}
OCTET_INLINE int_vector int_or(int_vector a, int_vector b) {
    FOR_LANES a.lane[i] |= b.lane[i];
    return a;
}
OCTET_INLINE int_vector int_shift_left(int_vector v, int bits) {
    FOR_LANES v.lane[i] = (int32_t)((uint32_t)v.lane[i] << bits);
    return v;
}

// MARK: - float32

OCTET_INLINE float_vector float_broadcast(float x) {
    float_vector v;
    FOR_LANES v.lane[i] = x;
    return v;
}
OCTET_INLINE float_vector float_load(const float *p) {
    float_vector v;
    FOR_LANES v.lane[i] = p[i];
    return v;
}
OCTET_INLINE void float_store(float *p, float_vector v) { FOR_LANES p[i] = v.lane[i]; }
OCTET_INLINE float_vector float_add(float_vector a, float_vector b) {
    FOR_LANES a.lane[i] += b.lane[i];
    return a;
}
OCTET_INLINE float_vector float_subtract(float_vector a, float_vector b) {
    FOR_LANES a.lane[i] -= b.lane[i];
    return a;
}
OCTET_INLINE float_vector float_multiply(float_vector a, float_vector b) {
    FOR_LANES a.lane[i] *= b.lane[i];
    return a;
}
OCTET_INLINE float_vector float_divide(float_vector a, float_vector b) {
    FOR_LANES a.lane[i] /= b.lane[i];
    return a;
}
OCTET_INLINE float_vector float_square_root(float_vector v) {
    FOR_LANES v.lane[i] = sqrtf(v.lane[i]);
    return v;
}
OCTET_INLINE float_vector float_multiply_add(float_vector sum, float_vector a, float_vector b) {
    FOR_LANES sum.lane[i] += a.lane[i] * b.lane[i];
    return sum;
}
// b where either is NaN
OCTET_INLINE float_vector float_max(float_vector a, float_vector b) {
    FOR_LANES a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
    return a;
}
OCTET_INLINE float_vector float_min(float_vector a, float_vector b) {
    FOR_LANES a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
    return a;
}
OCTET_INLINE float_vector float_zero_where_nan(float_vector x, float_vector nan_like) {
    FOR_LANES x.lane[i] = nan_like.lane[i] == nan_like.lane[i] ? x.lane[i] : 0;
    return x;
}
OCTET_INLINE float_vector float_if_between(float_vector x, float_vector low, float_vector high, float_vector yes,
                                           float_vector no) {
    FOR_LANES no.lane[i] = x.lane[i] >= low.lane[i] && x.lane[i] <= high.lane[i] ? yes.lane[i] : no.lane[i];
    return no;
}
OCTET_INLINE float_vector float_if_less(float_vector a, float_vector b, float_vector yes, float_vector no) {
    FOR_LANES no.lane[i] = a.lane[i] < b.lane[i] ? yes.lane[i] : no.lane[i];
    return no;
}
OCTET_INLINE int_vector float_bits(float_vector v) {
    int_vector bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}
OCTET_INLINE float_vector float_with_bits(int_vector bits) {
    float_vector v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
OCTET_INLINE bool float_has_nan(float_vector v) {
    bool found = false;
    FOR_LANES found |= v.lane[i] != v.lane[i];
    return found;
}
// For lanes without NaN
OCTET_INLINE float float_smallest(float_vector v) {
    float least = v.lane[0];
    FOR_LANES least = v.lane[i] < least ? v.lane[i] : least;
    return least;
}
OCTET_INLINE float float_largest(float_vector v) {
    float most = v.lane[0];
    FOR_LANES most = v.lane[i] > most ? v.lane[i] : most;
    return most;
}
OCTET_INLINE float_vector float_from_int(int_vector v) {
    float_vector x;
    FOR_LANES x.lane[i] = (float)v.lane[i];
    return x;
}
OCTET_INLINE int_vector float_truncate(float_vector v) {
    int_vector x;
    FOR_LANES x.lane[i] = (int32_t)v.lane[i];
    return x;
}
// Half to even for |v| < 2²²: adding 1.5 · 2²³ leaves no bits for a fraction, so the addition itself rounds.
OCTET_INLINE int_vector float_round(float_vector v) {
    FOR_LANES v.lane[i] = (v.lane[i] + 12582912.0f) - 12582912.0f;
    return float_truncate(v);
}

// Half to even; beyond the range of int16, any number beyond it on the same side
OCTET_INLINE int_vector float_round_saturating(float_vector v) {
    return float_round(float_min(float_max(v, float_broadcast(-65536)), float_broadcast(65536)));
}

// MARK: - The first `count` lanes (1 ... LANES): nothing else is touched, missing lanes read as 0

OCTET_INLINE int_vector int_load_part(const int32_t *p, size_t count) {
    int_vector v = int_broadcast(0);
    for (size_t i = 0; i < count; i++) v.lane[i] = p[i];
    return v;
}
OCTET_INLINE void int_store_part(int32_t *p, int_vector v, size_t count) {
    for (size_t i = 0; i < count; i++) p[i] = v.lane[i];
}
OCTET_INLINE float_vector float_load_part(const float *p, size_t count) {
    float_vector v = float_broadcast(0);
    for (size_t i = 0; i < count; i++) v.lane[i] = p[i];
    return v;
}
OCTET_INLINE void float_store_part(float *p, float_vector v, size_t count) {
    for (size_t i = 0; i < count; i++) p[i] = v.lane[i];
}
OCTET_INLINE int_vector int_load_u8_part(const uint8_t *p, size_t count) {
    int_vector v = int_broadcast(0);
    for (size_t i = 0; i < count; i++) v.lane[i] = p[i];
    return v;
}
OCTET_INLINE int_vector int_load_s8_part(const int8_t *p, size_t count) {
    int_vector v = int_broadcast(0);
    for (size_t i = 0; i < count; i++) v.lane[i] = p[i];
    return v;
}
OCTET_INLINE void int_store_u8_part(uint8_t *p, int_vector v, size_t count) {
    for (size_t i = 0; i < count; i++) p[i] = (uint8_t)v.lane[i];
}

// MARK: - Bytes as 32-bit lanes; a store keeps the low byte

OCTET_INLINE int_vector int_load_u8(const uint8_t *p) { return int_load_u8_part(p, LANES); }
OCTET_INLINE int_vector int_load_s8(const int8_t *p) { return int_load_s8_part(p, LANES); }
OCTET_INLINE void int_store_u8(uint8_t *p, int_vector v) { int_store_u8_part(p, v, LANES); }

// MARK: - Bytes as bytes

OCTET_INLINE byte_vector byte_broadcast(uint8_t x) {
    byte_vector v;
    for (int i = 0; i < BYTE_LANES; i++) v.lane[i] = x;
    return v;
}
OCTET_INLINE byte_vector byte_load_part(const uint8_t *p, size_t count) {
    byte_vector v = byte_broadcast(0);
    for (size_t i = 0; i < count; i++) v.lane[i] = p[i];
    return v;
}
OCTET_INLINE void byte_store_part(uint8_t *p, byte_vector v, size_t count) {
    for (size_t i = 0; i < count; i++) p[i] = v.lane[i];
}
OCTET_INLINE byte_vector byte_load(const uint8_t *p) { return byte_load_part(p, BYTE_LANES); }
OCTET_INLINE void byte_store(uint8_t *p, byte_vector v) { byte_store_part(p, v, BYTE_LANES); }
OCTET_INLINE byte_vector byte_add(byte_vector a, byte_vector b) {
    for (int i = 0; i < BYTE_LANES; i++) a.lane[i] = (uint8_t)(a.lane[i] + b.lane[i]);
    return a;
}
OCTET_INLINE byte_vector byte_max(byte_vector a, byte_vector b) {
    for (int i = 0; i < BYTE_LANES; i++) a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
    return a;
}
OCTET_INLINE byte_vector byte_min(byte_vector a, byte_vector b) {
    for (int i = 0; i < BYTE_LANES; i++) a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
    return a;
}

// Whether looking bytes up is quicker than requantizing them.
#define BYTE_TABLE_IS_QUICK 0
typedef struct {
    const uint8_t *entry;
} byte_table;
OCTET_INLINE byte_table byte_table_load(const uint8_t *entries) { return (byte_table){entries}; }
OCTET_INLINE byte_vector byte_look_up(const byte_table *table, byte_vector v) {
    for (int i = 0; i < BYTE_LANES; i++) v.lane[i] = table->entry[v.lane[i]];
    return v;
}

// MARK: - Four vectors of 32-bit lanes as one of bytes, in their order

OCTET_INLINE short_vector short_broadcast(int16_t x) {
    short_vector v;
    for (int i = 0; i < 2 * LANES; i++) v.lane[i] = x;
    return v;
}
// v saturated to int16, plus zero, saturated to 0 ... 255
OCTET_INLINE byte_vector byte_saturate(const int_vector v[4], short_vector zero) {
    byte_vector bytes;
    for (int k = 0; k < 4; k++) {
        FOR_LANES {
            const int32_t sum = v[k].lane[i] + zero.lane[0], at_least_0 = sum < 0 ? 0 : sum;
            bytes.lane[k * LANES + i] = (uint8_t)(at_least_0 > 255 ? 255 : at_least_0);
        }
    }
    return bytes;
}
// 1 where low ≤ v ≤ high, else 0
OCTET_INLINE byte_vector byte_flags(const float_vector v[4], float_vector low, float_vector high) {
    byte_vector bytes;
    for (int k = 0; k < 4; k++)
        FOR_LANES bytes.lane[k * LANES + i] = (v[k].lane[i] >= low.lane[i]) & (v[k].lane[i] <= high.lane[i]);
    return bytes;
}

// MARK: - Tiles of a transposition: to[j · to_stride + i] = from[i · stride + j] for i < rows and j < columns

#define BYTE_TILE 8
#define FLOAT_TILE 8

#define TRANSPOSE_TILE(name, type)                                                                          \
    OCTET_INLINE void name##_tile(const type *from, size_t stride, size_t rows, type *to, size_t to_stride, \
                                  size_t columns) {                                                         \
        for (size_t j = 0; j < columns; j++)                                                                \
            for (size_t i = 0; i < rows; i++) to[j * to_stride + i] = from[i * stride + j];                 \
    }
TRANSPOSE_TILE(transpose_u8, uint8_t)
TRANSPOSE_TILE(transpose_f32, float)
#undef TRANSPOSE_TILE

// MARK: - Weights of 4 and 8 bits by signed activations

#define QUAD_PANELS 1
#define QUAD_SHIFT 0
typedef struct {
    int8_t lane[4];
} quad_activations;
typedef byte_vector quad_weights;
OCTET_INLINE quad_activations quad_broadcast(const int8_t *p) { return (quad_activations){{p[0], p[1], p[2], p[3]}}; }
OCTET_INLINE byte_vector byte_low_nibbles(byte_vector v) {
    for (int i = 0; i < BYTE_LANES; i++) v.lane[i] &= 15;
    return v;
}
OCTET_INLINE byte_vector byte_high_nibbles(byte_vector v) {
    for (int i = 0; i < BYTE_LANES; i++) v.lane[i] >>= 4;
    return v;
}
OCTET_INLINE quad_weights quad_weights_make(byte_vector w) { return w; }
OCTET_INLINE int_vector quad_dot(int_vector sums, quad_weights w, quad_activations a) {
    FOR_LANES
    for (int j = 0; j < 4; j++) sums.lane[i] += w.lane[4 * i + j] * a.lane[j];
    return sums;
}
#define nibble_dot quad_dot
#include "quads.h"

#include "scalar_depthwise.h"
#include "float32_tile.h"
