// The vocabulary of NEON with matrix products of bytes (usmmla: 2 × 8 unsigned by 8 × 2 signed bytes into four lanes,
// exact).
#define ISA_NAME "neoni8mm"
#define ISA_SYMBOL octet_isa_neoni8mm
#define ISA_FEATURES "NEON DotProd I8MM"
#define ISA_DOT "usmmla"

#include "neon_vectors.h"

// 16 accumulators, two pairs of rows. (With a third pair compilers run out of registers.)
// clang-format off
#define TILES(STAMP)                                                                    \
    TILES_TO_4(STAMP, 1) TILES_TO_4(STAMP, 2) TILES_TO_4(STAMP, 3) TILES_TO_4(STAMP, 4) \
    STAMP(1, 5) STAMP(1, 6) STAMP(1, 7) STAMP(1, 8)                                     \
    STAMP(2, 5) STAMP(2, 6) STAMP(2, 7) STAMP(2, 8)
// clang-format on
#define TILE_MR 4
#define TILE_SHORT_MR TILE_MR
#define TILE_PANELS 4
#define TILE_WIDE_MR 2
#define TILE_WIDE_PANELS 8

#define INT8_KR 8
typedef uint8_t int8_stored;
typedef uint8x16_t int8_activations;  // two rows of eight; the last of an odd number is a pair by itself
typedef int8x16_t int8_weights;       // two channels of eight
OCTET_INLINE int8_activations int8_broadcast(const void *p) {
    return vcombine_u8(vld1_u8((const uint8_t *)p), vld1_u8((const uint8_t *)p));
}
OCTET_INLINE int8_weights int8_load_weights(const void *p) { return vld1q_s8(p); }
OCTET_INLINE int_vector int8_dot(int_vector sum, int8_activations a, int8_weights w) { return vusmmlaq_s32(sum, a, w); }

enum { most_pairs = TILE_MR / 2, weight_step = LANES * INT8_KR };

// One step of k: pairs of rows by pairs of channels, each product a block of 2 × 2 sums.
OCTET_INLINE void int8_step(const int8_activations *a, const size_t pairs, const char *weights, size_t panel_stride,
                            const size_t panels, int_vector *blocks) {
    OCTET_UNROLL
    for (size_t p = 0; p < 2 * panels; p++) {
        const int8_weights w = int8_load_weights(weights + p / 2 * panel_stride + p % 2 * sizeof w);
        OCTET_UNROLL
        for (size_t i = 0; i < pairs; i++) blocks[i * panels * 2 + p] = int8_dot(blocks[i * panels * 2 + p], a[i], w);
    }
}

OCTET_INLINE void int8_products(const octet_tile *t, const size_t rows, const size_t panels, int_vector *sums) {
    const size_t panel_stride = t->panel_stride, pairs = (rows + 1) / 2;
    const char *weights = t->weights;
    const uint8_t *row[TILE_MR];
    OCTET_UNROLL
    for (size_t i = 0; i < 2 * pairs; i++) row[i] = (const uint8_t *)t->row[octet_smaller(i, rows - 1)];
    int_vector blocks[most_pairs * TILE_PANELS * 2];
    OCTET_UNROLL
    for (size_t i = 0; i < pairs * panels * 2; i++) blocks[i] = int_broadcast(0);
    for (size_t tap = 0; tap < t->taps; tap++) {
        size_t place = t->tap_offsets[tap];
        const size_t end = place + t->steps * INT8_KR;
        int8_activations even[most_pairs], odd[most_pairs];
        for (; end - place >= 2 * INT8_KR; place += 2 * INT8_KR, weights += 2 * weight_step) {
            LOOP_MARK("BEGIN", "usmmla", rows, panels);
            OCTET_UNROLL
            for (size_t i = 0; i < pairs; i++) {
                const uint64x2_t first = vreinterpretq_u64_u8(vld1q_u8(row[2 * i] + place));
                const uint64x2_t second = vreinterpretq_u64_u8(vld1q_u8(row[2 * i + 1] + place));
                even[i] = vreinterpretq_u8_u64(vzip1q_u64(first, second));
                odd[i] = vreinterpretq_u8_u64(vzip2q_u64(first, second));
            }
            int8_step(even, pairs, weights, panel_stride, panels, blocks);
            int8_step(odd, pairs, weights + weight_step, panel_stride, panels, blocks);
            LOOP_MARK("END", "usmmla", rows, panels);
        }
        if (place != end) {
            OCTET_UNROLL
            for (size_t i = 0; i < pairs; i++)
                even[i] = vcombine_u8(vld1_u8(row[2 * i] + place), vld1_u8(row[2 * i + 1] + place));
            int8_step(even, pairs, weights, panel_stride, panels, blocks);
            weights += weight_step;
        }
    }
    OCTET_UNROLL
    for (size_t i = 0; i < rows; i++) {
        OCTET_UNROLL
        for (size_t p = 0; p < panels; p++) {
            const int_vector *block = blocks + (i / 2 * panels + p) * 2;
            const int64x2_t left = vreinterpretq_s64_s32(block[0]), right = vreinterpretq_s64_s32(block[1]);
            const int64x2_t products = i % 2 ? vzip2q_s64(left, right) : vzip1q_s64(left, right);
            sums[i * panels + p] = int_add(sums[i * panels + p], vreinterpretq_s32_s64(products));
        }
    }
}

// MARK: - Weights of 4 and 8 bits by signed activations

#define QUAD_PANELS 2
#define QUAD_SHIFT 0
typedef byte_vector quad_weights;
OCTET_INLINE quad_weights quad_weights_make(byte_vector w) { return w; }
OCTET_INLINE int_vector quad_dot(int_vector sums, quad_weights w, quad_activations a) {
    return vusdotq_s32(sums, w, a);
}
#define nibble_dot quad_dot
#include "quads.h"

#define STACK_SHIFT 0
#define STACK_DOT(sum, a, w) vusdotq_s32(sum, vreinterpretq_u8_s8(a), w)
#include "neon_depthwise.h"
