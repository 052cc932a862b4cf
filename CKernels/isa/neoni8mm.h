// The vocabulary of NEON with matrix products of bytes (usmmla: 2 × 8 unsigned by 8 × 2 signed bytes into four lanes,
// exact).
#define ISA_NAME "neoni8mm"
#define ISA_SYMBOL octet_isa_neoni8mm
#define ISA_FEATURES "NEON DotProd I8MM"
#define ISA_DOT "usmmla"

#include "neon_vectors.h"

#define INT8_KR 8
typedef uint8_t int8_stored;
typedef uint8x16_t int8_activations;  // two rows of eight
typedef int8x16_t int8_weights;       // two channels of eight
OCTET_INLINE int8_activations int8_broadcast(const void *p) {
    return vcombine_u8(vld1_u8((const uint8_t *)p), vld1_u8((const uint8_t *)p));
}
OCTET_INLINE int8_weights int8_load_weights(const void *p) { return vld1q_s8(p); }
OCTET_INLINE int_vector int8_dot(int_vector sum, int8_activations a, int8_weights w) { return vusmmlaq_s32(sum, a, w); }

// Pairs of rows by pairs of channels, each product a block of 2 × 2 sums.
OCTET_INLINE void int8_products(const octet_tile *t, const size_t rows, const size_t panels, int_vector *sums) {
    enum { most_pairs = (TILE_MR + 1) / 2, weight_step = LANES * INT8_KR };
    const char *const *row = t->row;
    const size_t panel_stride = t->panel_stride, pairs = (rows + 1) / 2;
    const char *weights = t->weights;
    int_vector blocks[most_pairs * TILE_PANELS * 2];
    OCTET_UNROLL
    for (size_t i = 0; i < pairs * panels * 2; i++) blocks[i] = int_broadcast(0);
    for (size_t tap = 0; tap < t->taps; tap++) {
        size_t place = t->tap_offsets[tap];
        for (const size_t end = place + t->steps * INT8_KR; place != end; place += INT8_KR) {
            LOOP_MARK("BEGIN", "usmmla", rows, panels);
            int8_activations a[most_pairs];
            OCTET_UNROLL
            for (size_t i = 0; i < pairs; i++) {
                // The last of an odd number of rows is a pair by itself.
                const size_t second = octet_smaller(2 * i + 1, rows - 1);
                a[i] = vcombine_u8(vld1_u8((const uint8_t *)row[2 * i] + place),
                                   vld1_u8((const uint8_t *)row[second] + place));
            }
            OCTET_UNROLL
            for (size_t p = 0; p < 2 * panels; p++) {
                const int8_weights w = int8_load_weights(weights + p / 2 * panel_stride + p % 2 * sizeof w);
                OCTET_UNROLL
                for (size_t i = 0; i < pairs; i++)
                    blocks[i * panels * 2 + p] = int8_dot(blocks[i * panels * 2 + p], a[i], w);
            }
            weights += weight_step;
            LOOP_MARK("END", "usmmla", rows, panels);
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
