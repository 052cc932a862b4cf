// The vocabulary of plain NEON, which every arm64 CPU has. Two products of bytes are added in 16 bits (smull, smlsl)
// before a pair of such sums is added to a lane (sadalp), and they never overflow, whatever the weights: of eight
// activations a − 128 is multiplied, of the next eight 127 − a, whose products are subtracted. So of two products at
// most one can reach −128 · −128, and
//
//     |(a − 128) · w − (127 − b) · v| ≤ 128 · 128 + 127 · 128 = 32640 < 2¹⁵.
//
// What that takes from sums, 128 · w and 127 · w, stands in front of a panel.
#define ISA_NAME "neon"
#define ISA_SYMBOL octet_isa_neon
#define ISA_FEATURES "NEON"
#define ISA_DOT "smull + smlsl + sadalp"

#include "neon_vectors.h"

// 16 accumulators, one panel after another.
#define TILES(STAMP) TILES_TO_4(STAMP, 1) TILES_TO_4(STAMP, 2) TILES_TO_4(STAMP, 3) TILES_TO_4(STAMP, 4)
#define TILE_MR 4
#define TILE_SHORT_MR TILE_MR
#define TILE_PANELS 4
#define TILE_WIDE_MR 1
#define TILE_WIDE_PANELS 4

#define INT8_KR 16
#define INT8_SHIFTS {128, 127}
typedef uint8_t int8_stored;
typedef int8x16_t int8_activations;
typedef int8x16_t int8_weights;
OCTET_INLINE int8_activations int8_load_activations(const void *p) {
    const uint8x16_t flips = vcombine_u8(vdup_n_u8(0x80), vdup_n_u8(0x7f));
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8((const uint8_t *)p), flips));
}
OCTET_INLINE int8_weights int8_load_weights(const void *p) { return vld1q_s8(p); }
// 16 products.
OCTET_INLINE int_vector int8_dot(int_vector sum, int8_activations a, int8_weights w) {
    return vpadalq_s16(sum, vmlsl_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(w)), a, w));
}

// Each sum is spread over four lanes.
OCTET_INLINE void int8_panel_products(const octet_tile *t, const size_t rows, const char *weights, int_vector *spread) {
    const char *row[TILE_MR];
    OCTET_UNROLL
    for (size_t i = 0; i < rows; i++) row[i] = t->row[i];
    OCTET_UNROLL
    for (size_t i = 0; i < rows * LANES; i++) spread[i] = int_broadcast(0);
    for (size_t tap = 0; tap < t->taps; tap++) {
        size_t place = t->tap_offsets[tap];
        for (const size_t end = place + t->steps * INT8_KR; place != end; place += INT8_KR) {
            LOOP_MARK("BEGIN", "smull", rows, 1);
            int8_activations a[TILE_MR];
            OCTET_UNROLL
            for (size_t i = 0; i < rows; i++) a[i] = int8_load_activations(row[i] + place);
            OCTET_UNROLL
            for (size_t c = 0; c < LANES; c++) {
                const int8_weights w = int8_load_weights(weights + c * sizeof w);
                OCTET_UNROLL
                for (size_t i = 0; i < rows; i++) spread[i * LANES + c] = int8_dot(spread[i * LANES + c], a[i], w);
            }
            weights += LANES * INT8_KR;
            LOOP_MARK("END", "smull", rows, 1);
        }
    }
}
OCTET_INLINE void int8_products(const octet_tile *t, const size_t rows, const size_t panels, int_vector *sums) {
    OCTET_ROLLED
    for (size_t p = 0; p < panels; p++) {
        const char *panel = t->weights + p * t->panel_stride;
        const int_vector header = int_load((const int32_t *)panel);
        int_vector spread[TILE_MR * LANES];
        int8_panel_products(t, rows, panel + sizeof header, spread);
        OCTET_UNROLL
        for (size_t i = 0; i < rows; i++) {
            const int_vector *s = spread + i * LANES;
            const int_vector products = vpaddq_s32(vpaddq_s32(s[0], s[1]), vpaddq_s32(s[2], s[3]));
            sums[i * panels + p] = int_add(sums[i * panels + p], int_add(products, header));
        }
    }
}

// For the peak.
#define INT8_PEAK_PRODUCTS 16
#define int8_peak_dot int8_dot
OCTET_INLINE int8_activations int8_broadcast(const void *p) { return int8_load_activations(p); }

// MARK: - Weights of 4 and 8 bits by signed activations

#define QUAD_PANELS 1
// Products of 4 bits by 8 are 15 · 127 at most: int16 holds those of all eight quads of a group, one lane each.
typedef struct {
    int16x8_t low, high;
} nibble_sums;
OCTET_INLINE nibble_sums nibble_start(void) { return (nibble_sums){vdupq_n_s16(0), vdupq_n_s16(0)}; }
OCTET_INLINE nibble_sums nibble_dot(nibble_sums sums, byte_vector w, quad_activations a) {
    const int8x16_t weights = vreinterpretq_s8_u8(w);
    sums.low = vmlal_s8(sums.low, vget_low_s8(weights), vget_low_s8(a));
    sums.high = vmlal_high_s8(sums.high, weights, a);
    return sums;
}
OCTET_INLINE int_vector nibble_total(nibble_sums sums) {
    return vpaddq_s32(vpaddlq_s16(sums.low), vpaddlq_s16(sums.high));
}

#define QUAD_SHIFT 128
typedef int8x16_t quad_weights;
OCTET_INLINE quad_weights quad_weights_make(byte_vector w) { return vreinterpretq_s8_u8(w); }
typedef struct {
    int32x4_t low, high;
} quad_sums;
OCTET_INLINE quad_sums quad_start(void) { return (quad_sums){vdupq_n_s32(0), vdupq_n_s32(0)}; }
OCTET_INLINE quad_sums quad_dot(quad_sums sums, quad_weights w, quad_activations a) {
    sums.low = vpadalq_s16(sums.low, vmull_s8(vget_low_s8(w), vget_low_s8(a)));
    sums.high = vpadalq_s16(sums.high, vmull_high_s8(w, a));
    return sums;
}
OCTET_INLINE int_vector quad_total(quad_sums sums) { return vpaddq_s32(sums.low, sums.high); }

#include "neon_depthwise.h"
