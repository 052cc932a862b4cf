// What the instruction sets of arm64 share: 4 lanes of 32 bits. They differ in how they multiply bytes, and so in the
// tiles of their bytes.
#define LANES 4
#define BYTE_LANES 16

typedef int32x4_t int_vector;
typedef float32x4_t float_vector;
typedef uint8x16_t byte_vector;
typedef int16x8_t short_vector;

#include "few_bytes.h"

// Hides from the compiler that a value does not change (for loops that only measure).
#define OPAQUE(vector) __asm__ volatile("" : "+w"(vector))

// MARK: - 32-bit integers

OCTET_INLINE int_vector int_broadcast(int32_t x) { return vdupq_n_s32(x); }
OCTET_INLINE int_vector int_load(const int32_t *p) { return vld1q_s32(p); }
OCTET_INLINE void int_store(int32_t *p, int_vector v) { vst1q_s32(p, v); }
OCTET_INLINE int_vector int_add(int_vector a, int_vector b) { return vaddq_s32(a, b); }
OCTET_INLINE int_vector int_subtract(int_vector a, int_vector b) { return vsubq_s32(a, b); }
OCTET_INLINE int_vector int_multiply(int_vector a, int_vector b) { return vmulq_s32(a, b); }
OCTET_INLINE int_vector int_and(int_vector a, int_vector b) { return vandq_s32(a, b); }
OCTET_INLINE int_vector int_or(int_vector a, int_vector b) { return vorrq_s32(a, b); }
OCTET_INLINE int_vector int_shift_left(int_vector v, int bits) { return vshlq_s32(v, vdupq_n_s32(bits)); }
// a = b ? yes : no
OCTET_INLINE int_vector int_if_equal(int_vector a, int_vector b, int_vector yes, int_vector no) {
    return vbslq_s32(vceqq_s32(a, b), yes, no);
}

// MARK: - float32

OCTET_INLINE float_vector float_broadcast(float x) { return vdupq_n_f32(x); }
OCTET_INLINE float_vector float_load(const float *p) { return vld1q_f32(p); }
OCTET_INLINE void float_store(float *p, float_vector v) { vst1q_f32(p, v); }
OCTET_INLINE float_vector float_add(float_vector a, float_vector b) { return vaddq_f32(a, b); }
OCTET_INLINE float_vector float_subtract(float_vector a, float_vector b) { return vsubq_f32(a, b); }
OCTET_INLINE float_vector float_multiply(float_vector a, float_vector b) { return vmulq_f32(a, b); }
OCTET_INLINE float_vector float_divide(float_vector a, float_vector b) { return vdivq_f32(a, b); }
OCTET_INLINE float_vector float_square_root(float_vector v) { return vsqrtq_f32(v); }
OCTET_INLINE float_vector float_multiply_add(float_vector sum, float_vector a, float_vector b) {
    return vfmaq_f32(sum, a, b);
}
// a > b ? a : b and a < b ? a : b, so b where either is NaN (fmax would give NaN)
OCTET_INLINE float_vector float_max(float_vector a, float_vector b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
OCTET_INLINE float_vector float_min(float_vector a, float_vector b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
OCTET_INLINE float_vector float_zero_where_nan(float_vector x, float_vector nan_like) {
    return vreinterpretq_f32_u32(vandq_u32(vceqq_f32(nan_like, nan_like), vreinterpretq_u32_f32(x)));
}
OCTET_INLINE uint32x4_t float_between(float_vector x, float_vector low, float_vector high) {
    return vandq_u32(vcgeq_f32(x, low), vcleq_f32(x, high));
}
// low ≤ x ≤ high ? yes : no
OCTET_INLINE float_vector float_if_between(float_vector x, float_vector low, float_vector high, float_vector yes,
                                           float_vector no) {
    return vbslq_f32(float_between(x, low, high), yes, no);
}
// a < b ? yes : no
OCTET_INLINE float_vector float_if_less(float_vector a, float_vector b, float_vector yes, float_vector no) {
    return vbslq_f32(vcltq_f32(a, b), yes, no);
}
OCTET_INLINE int_vector float_bits(float_vector v) { return vreinterpretq_s32_f32(v); }
OCTET_INLINE float_vector float_with_bits(int_vector bits) { return vreinterpretq_f32_s32(bits); }
OCTET_INLINE bool float_has_nan(float_vector v) { return vminvq_u32(vceqq_f32(v, v)) == 0; }
// For lanes without NaN
OCTET_INLINE float float_smallest(float_vector v) { return vminvq_f32(v); }
OCTET_INLINE float float_largest(float_vector v) { return vmaxvq_f32(v); }
OCTET_INLINE float_vector float_from_int(int_vector v) { return vcvtq_f32_s32(v); }
OCTET_INLINE int_vector float_round(float_vector v) { return vcvtnq_s32_f32(v); }  // half to even
// Half to even; beyond the range of int16, any number beyond it on the same side
OCTET_INLINE int_vector float_round_saturating(float_vector v) { return float_round(v); }
OCTET_INLINE int_vector float_truncate(float_vector v) { return vcvtq_s32_f32(v); }

// MARK: - The first `count` lanes (1 ... LANES): nothing else is touched, missing lanes read as 0

OCTET_INLINE int_vector int_load_part(const int32_t *p, size_t count) {
    if (count == LANES) return int_load(p);
    int_vector v = int_broadcast(0);
    if (count > 2) v = vld1q_lane_s32(p + 2, v, 2);
    if (count > 1) v = vld1q_lane_s32(p + 1, v, 1);
    return vld1q_lane_s32(p, v, 0);
}
OCTET_INLINE void int_store_part(int32_t *p, int_vector v, size_t count) {
    if (count == LANES) {
        int_store(p, v);
        return;
    }
    if (count > 2) vst1q_lane_s32(p + 2, v, 2);
    if (count > 1) vst1q_lane_s32(p + 1, v, 1);
    vst1q_lane_s32(p, v, 0);
}
OCTET_INLINE float_vector float_load_part(const float *p, size_t count) {
    return vreinterpretq_f32_s32(int_load_part((const int32_t *)p, count));
}
OCTET_INLINE void float_store_part(float *p, float_vector v, size_t count) {
    int_store_part((int32_t *)p, vreinterpretq_s32_f32(v), count);
}

// MARK: - Bytes as 32-bit lanes; a store keeps the low byte

OCTET_INLINE int_vector int_load_u8_part(const uint8_t *p, size_t count) {
    const uint16x8_t wide = vmovl_u8(vcreate_u8(load_bytes(p, count)));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(wide)));
}
OCTET_INLINE int_vector int_load_s8_part(const int8_t *p, size_t count) {
    return vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(load_bytes(p, count)))));
}
OCTET_INLINE void int_store_u8_part(uint8_t *p, int_vector v, size_t count) {
    const int16x8_t narrow = vcombine_s16(vmovn_s32(v), vdup_n_s16(0));
    store_bytes(p, vget_lane_u64(vreinterpret_u64_s8(vmovn_s16(narrow)), 0), count);
}
OCTET_INLINE int_vector int_load_u8(const uint8_t *p) { return int_load_u8_part(p, LANES); }
OCTET_INLINE int_vector int_load_s8(const int8_t *p) { return int_load_s8_part(p, LANES); }
OCTET_INLINE void int_store_u8(uint8_t *p, int_vector v) { int_store_u8_part(p, v, LANES); }

// MARK: - Bytes as bytes

OCTET_INLINE byte_vector byte_broadcast(uint8_t x) { return vdupq_n_u8(x); }
OCTET_INLINE byte_vector byte_load(const uint8_t *p) { return vld1q_u8(p); }
OCTET_INLINE void byte_store(uint8_t *p, byte_vector v) { vst1q_u8(p, v); }
OCTET_INLINE byte_vector byte_add(byte_vector a, byte_vector b) { return vaddq_u8(a, b); }
OCTET_INLINE byte_vector byte_max(byte_vector a, byte_vector b) { return vmaxq_u8(a, b); }
OCTET_INLINE byte_vector byte_min(byte_vector a, byte_vector b) { return vminq_u8(a, b); }
OCTET_INLINE byte_vector byte_load_part(const uint8_t *p, size_t count) {
    const uint64_t low = load_bytes(p, octet_smaller(count, 8));
    const uint64_t high = count > 8 ? load_bytes(p + 8, count - 8) : 0;
    return vcombine_u8(vcreate_u8(low), vcreate_u8(high));
}
OCTET_INLINE void byte_store_part(uint8_t *p, byte_vector v, size_t count) {
    const uint64x2_t words = vreinterpretq_u64_u8(v);
    store_bytes(p, vgetq_lane_u64(words, 0), octet_smaller(count, 8));
    if (count > 8) store_bytes(p + 8, vgetq_lane_u64(words, 1), count - 8);
}

// Whether looking bytes up is quicker than requantizing them.
#define BYTE_TABLE_IS_QUICK 1
typedef struct {
    uint8x16x4_t quarters[4];
} byte_table;
OCTET_INLINE byte_table byte_table_load(const uint8_t *entries) {
    byte_table table;
    OCTET_UNROLL
    for (int q = 0; q < 4; q++) table.quarters[q] = vld1q_u8_x4(entries + 64 * q);
    return table;
}
OCTET_INLINE byte_vector byte_look_up(const byte_table *table, byte_vector v) {
    // An index beyond its quarter leaves what another quarter found.
    byte_vector found = vqtbl4q_u8(table->quarters[0], v);
    OCTET_UNROLL
    for (int q = 1; q < 4; q++) {
        v = vsubq_u8(v, vdupq_n_u8(64));
        found = vqtbx4q_u8(found, table->quarters[q], v);
    }
    return found;
}

// MARK: - Four vectors of 32-bit lanes as one of bytes, in their order

OCTET_INLINE short_vector short_broadcast(int16_t x) { return vdupq_n_s16(x); }
// v saturated to int16, plus zero, saturated to 0 ... 255
OCTET_INLINE byte_vector byte_saturate(const int_vector v[4], short_vector zero) {
    const int16x8_t low = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(v[0]), v[1]), zero);
    const int16x8_t high = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(v[2]), v[3]), zero);
    return vqmovun_high_s16(vqmovun_s16(low), high);
}
// 1 where low ≤ v ≤ high, else 0
OCTET_INLINE byte_vector byte_flags(const float_vector v[4], float_vector low, float_vector high) {
    const uint16x8_t first = vcombine_u16(vmovn_u32(float_between(v[0], low, high)),  //
                                          vmovn_u32(float_between(v[1], low, high)));
    const uint16x8_t second =
        vcombine_u16(vmovn_u32(float_between(v[2], low, high)), vmovn_u32(float_between(v[3], low, high)));
    return vandq_u8(vcombine_u8(vmovn_u16(first), vmovn_u16(second)), vdupq_n_u8(1));
}

// MARK: - Sums of a tile to bytes, four vectors at a time

#define INT8_PACKS(tile) ((tile)->channels == (tile)->panels * LANES)
#define FLOAT_ROUND_SATURATES
typedef struct {
    int16x8_t zero;
    uint8x16_t lowest, highest;
    uint8_t *to;
    size_t stride;
} int8_packer;
OCTET_INLINE int8_packer int8_packer_make(const octet_tile *t) {
    const octet_epilogue *e = t->epilogue;
    return (int8_packer){
        .zero = short_broadcast((int16_t)e->zero),
        .lowest = byte_broadcast((uint8_t)((int32_t)e->lower + e->zero)),
        .highest = byte_broadcast((uint8_t)((int32_t)e->upper + e->zero)),
        .to = t->output,
        .stride = t->output_stride,
    };
}
// Vectors first ..< first + 4 of `count`, which follow one another panel by panel, then pixel by pixel.
OCTET_INLINE void int8_pack_store(const int8_packer *p, const int_vector *values, size_t first, size_t count,
                                  const size_t panels) {
    const byte_vector bytes = byte_min(byte_max(byte_saturate(values, p->zero), p->lowest), p->highest);
    if (panels % 4 == 0) {
        byte_store(p->to + first / panels * p->stride + first % panels * LANES, bytes);
        return;
    }
    OCTET_UNROLL
    for (size_t j = 0; j < octet_smaller(4, count - first); j++) {
        const size_t i = first + j;
        const uint32_t four[] = {
            vgetq_lane_u32(vreinterpretq_u32_u8(bytes), 0), vgetq_lane_u32(vreinterpretq_u32_u8(bytes), 1),
            vgetq_lane_u32(vreinterpretq_u32_u8(bytes), 2), vgetq_lane_u32(vreinterpretq_u32_u8(bytes), 3)};
        memcpy(p->to + i / panels * p->stride + i % panels * LANES, &four[j], LANES);
    }
}

// MARK: - Weights of 4 and 8 bits by signed activations

typedef int8x16_t quad_activations;
OCTET_INLINE quad_activations quad_broadcast(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}
OCTET_INLINE byte_vector byte_low_nibbles(byte_vector v) { return vandq_u8(v, vdupq_n_u8(15)); }
OCTET_INLINE byte_vector byte_high_nibbles(byte_vector v) { return vshrq_n_u8(v, 4); }

#include "float32_tile.h"
#include "neon_transpose.h"

// MARK: - Products, in loops of their own: generic/gemm.inc takes what float32_products and int8_products add to sums

#define INT8_PRODUCTS
#define FLOAT32_PRODUCTS

// Tiles of so many panels, up to so many rows.
#define TILES_TO_4(STAMP, panels) STAMP(1, panels) STAMP(2, panels) STAMP(3, panels) STAMP(4, panels)
#define TILES_TO_5(STAMP, panels) TILES_TO_4(STAMP, panels) STAMP(5, panels)
// Of the float32 tile.
#define FLOAT32_TILES "../isa/neon_tiles.h"

// Around an inner loop, for scripts/analyse-arm64.
#ifdef OCTET_ANALYSE
#define LOOP_MARK(mark, name, rows, panels) \
    __asm__ volatile("# LLVM-MCA-" mark " " name "_%c0x%c1" : : "i"(rows), "i"(panels))
#else
#define LOOP_MARK(mark, name, rows, panels)
#endif

#define LANED(name) float32_##name
#define LANED_NAME "float32"
#define LANED_VECTOR float_vector
#define LANED_LOAD(p) vld1q_f32((const float *)(p))
#define LANED_DOT(sum, w, a, lane) vfmaq_laneq_f32(sum, w, a, lane)
#define LANED_HEADER 0
#include "neon_laned.inc"
#undef LANED
#undef LANED_NAME
#undef LANED_VECTOR
#undef LANED_LOAD
#undef LANED_DOT
#undef LANED_HEADER
