// The vocabulary of plain NEON, which every arm64 CPU has. Two products of bytes are added in 16 bits (smull, smlsl)
// before a pair of such sums is added to a lane (sadalp), and they never overflow, whatever the weights: of eight
// activations a − 128 is multiplied, of the next eight 127 − a, whose products are subtracted. So of two products at
// most one can reach −128 · −128, and
//
//     |(a − 128) · w − (127 − b) · v| ≤ 128 · 128 + 127 · 128 = 32640 < 2¹⁵.
//
// What that takes from sums, 128 · w of even and 127 · w of odd steps, stands in front of a panel.
#define ISA_NAME "neon"
#define ISA_SYMBOL octet_isa_neon
#define ISA_FEATURES "NEON"
#define ISA_DOT "smull + smlsl + sadalp"

#include "neon_vectors.h"

#define INT8_KR 8
#define INT8_SHIFTS {128, 127}
typedef uint8_t int8_stored;
typedef struct {
    int8x8_t even, odd;
} int8_steps;
OCTET_INLINE int8x8_t int8_even(const char *p) {
    return vreinterpret_s8_u8(veor_u8(vld1_u8((const uint8_t *)p), vdup_n_u8(0x80)));
}
OCTET_INLINE int8x8_t int8_odd(const char *p) {
    return vreinterpret_s8_u8(veor_u8(vld1_u8((const uint8_t *)p), vdup_n_u8(0x7f)));
}
OCTET_INLINE int_vector int8_two_steps(int_vector sum, int8_steps a, int8_steps w) {
    return vpadalq_s16(sum, vmlsl_s8(vmull_s8(a.even, w.even), a.odd, w.odd));
}

// A few rows × one panel. Each sum is spread over four lanes.
OCTET_INLINE void int8_panel_products(const octet_tile *t, const size_t first, const size_t rows, const size_t panel,
                                      const size_t panels, int_vector *sums) {
    enum { most_rows = (TILE_MR + 1) / 2, weight_step = LANES * INT8_KR };
    const char *const *row = t->row + first;
    const char *weights = t->weights + panel * t->panel_stride;
    const int_vector header = int_load((const int32_t *)weights);
    weights += sizeof header;
    int_vector spread[most_rows * LANES];
    OCTET_UNROLL
    for (size_t i = 0; i < rows * LANES; i++) spread[i] = int_broadcast(0);
    for (size_t tap = 0; tap < t->taps; tap++) {
        size_t place = t->tap_offsets[tap];
        const size_t end = place + t->steps * INT8_KR;
        for (; end - place >= 2 * INT8_KR; place += 2 * INT8_KR, weights += 2 * weight_step) {
            LOOP_MARK("BEGIN", "smull", rows, 1);
            int8_steps a[most_rows];
            OCTET_UNROLL
            for (size_t i = 0; i < rows; i++)
                a[i] = (int8_steps){int8_even(row[i] + place), int8_odd(row[i] + place + INT8_KR)};
            OCTET_UNROLL
            for (size_t c = 0; c < LANES; c++) {
                const int8_t *from = (const int8_t *)weights + c * INT8_KR;
                const int8_steps w = {vld1_s8(from), vld1_s8(from + weight_step)};
                OCTET_UNROLL
                for (size_t i = 0; i < rows; i++)
                    spread[i * LANES + c] = int8_two_steps(spread[i * LANES + c], a[i], w);
            }
            LOOP_MARK("END", "smull", rows, 1);
        }
        if (place != end) {
            OCTET_UNROLL
            for (size_t c = 0; c < LANES; c++) {
                const int8x8_t w = vld1_s8((const int8_t *)weights + c * INT8_KR);
                OCTET_UNROLL
                for (size_t i = 0; i < rows; i++)
                    spread[i * LANES + c] = vpadalq_s16(spread[i * LANES + c], vmull_s8(int8_even(row[i] + place), w));
            }
            weights += weight_step;
        }
    }
    OCTET_UNROLL
    for (size_t i = 0; i < rows; i++) {
        const int_vector *s = spread + i * LANES;
        const int_vector products = vpaddq_s32(vpaddq_s32(s[0], s[1]), vpaddq_s32(s[2], s[3]));
        int_vector *sum = &sums[(first + i) * panels + panel];
        *sum = int_add(*sum, int_add(products, header));
    }
}
OCTET_INLINE void int8_products(const octet_tile *t, const size_t rows, const size_t panels, int_vector *sums) {
    const size_t half = (rows + 1) / 2;
    OCTET_ROLLED
    for (size_t p = 0; p < panels; p++) {
        int8_panel_products(t, 0, half, p, panels, sums);
        if (rows > half) int8_panel_products(t, half, rows - half, p, panels, sums);
    }
}

// Only what is measured as the peak: 16 products.
#define INT8_DOT_PRODUCTS 16
typedef int8x16_t int8_activations;
typedef int8x16_t int8_weights;
OCTET_INLINE int8x16_t int8_broadcast(const void *p) { return vld1q_s8(p); }
OCTET_INLINE int8x16_t int8_load_weights(const void *p) { return vld1q_s8(p); }
OCTET_INLINE int_vector int8_dot(int_vector sum, int8_activations a, int8_weights w) {
    const int16x8_t products = vmull_s8(vget_low_s8(a), vget_low_s8(w));
    return vpadalq_s16(sum, vmlsl_high_s8(products, a, w));
}
