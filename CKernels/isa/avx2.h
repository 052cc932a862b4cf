// The vocabulary of AVX2 with FMA: 8 lanes of 32 bits, vpmaddwd (two int16 products into a lane, exact). The byte
// multiply vpmaddubsw is faster and saturates: it serves where weights can be ordered so that it does not
// (avx2_chains.h), and on magnitudes of the rows of a matrix (avx2_magnitudes.h). Tiles of windows take any weights, so
// there activations are stored as int16 and weights widened when loaded.
#define ISA_NAME "avx2"
#define ISA_SYMBOL octet_isa_avx2
#define ISA_FEATURES "AVX2 FMA"
#define ISA_DOT "vpmaddubsw + vpmaddwd + vpaddd ymm"

#define ISA_CHAINS "../isa/avx2_chains.h"
#define ISA_MAGNITUDES "../isa/avx2_magnitudes.h"

#define STACK_ROWS 2
#include "ymm.h"

// MARK: - Bytes multiplied

// A step is four of k. In the order k₀ k₂ k₁ k₃ even bytes are what the first two activations are multiplied by, odd
// ones what the last two are. (vpmaddubsw adds products of neighbours, whichever they are.)
#define INT8_KR 4
#define INT8_INTERLEAVED
#define INT8_SHIFTS {128, 128}
typedef uint16_t int8_stored;
typedef __m256i int8_activations;
typedef __m256i int8_weights;
OCTET_INLINE int8_activations int8_broadcast(const void *p) {
    int32_t two;
    memcpy(&two, p, sizeof two);
    return _mm256_set1_epi32(two);
}
OCTET_INLINE int8_weights int8_load_weights(const void *p) { return _mm256_load_si256((const __m256i *)p); }
OCTET_INLINE __m256i int8_dot(__m256i sum, __m256i a, __m256i w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, w));
}
#define INT8_PRODUCTS
OCTET_INLINE void int8_products(const octet_tile *t, const size_t rows, const size_t panels, __m256i *sums) {
    const char *row[TILE_MR];
    OCTET_UNROLL
    for (size_t i = 0; i < rows; i++) row[i] = t->row[i];
    const size_t panel_stride = t->panel_stride;
    const char *weights = t->weights;
    for (size_t tap = 0; tap < t->taps; tap++) {
        size_t place = t->tap_offsets[tap];
        for (const size_t end = place + t->steps * 8; place != end; place += 8) {
            OCTET_UNROLL
            for (size_t half = 0; half < 2; half++) {
                __m256i w[TILE_WIDE_PANELS];
                OCTET_UNROLL
                for (size_t p = 0; p < panels; p++) {
                    const int8_weights quads = int8_load_weights(weights + p * panel_stride);
                    w[p] = _mm256_srai_epi16(half ? quads : _mm256_slli_epi16(quads, 8), 8);
                }
                OCTET_UNROLL
                for (size_t i = 0; i < rows; i++) {
                    const __m256i a = int8_broadcast(row[i] + place + 4 * half);
                    OCTET_UNROLL
                    for (size_t p = 0; p < panels; p++) sums[i * panels + p] = int8_dot(sums[i * panels + p], a, w[p]);
                }
                // Else compilers would add up products of both halves first, and run out of registers.
                OCTET_UNROLL
                for (size_t i = 0; i < rows * panels; i++) __asm__("" : "+x"(sums[i]));
            }
            weights += 32;
        }
    }
}
// The byte multiply, whatever it saturates: what chains come near to, and what the speed of this CPU is measured by.
#define INT8_PEAK_PRODUCTS (LANES * 4)
OCTET_INLINE __m256i int8_peak_dot(__m256i sum, __m256i a, __m256i w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, w), _mm256_set1_epi16(1)));
}

// MARK: - Weights of 4 and 8 bits by signed activations

#define QUAD_PANELS 2

typedef __m256i quad_activations;
OCTET_INLINE quad_activations quad_broadcast(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}
OCTET_INLINE byte_vector byte_low_nibbles(byte_vector v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
OCTET_INLINE byte_vector byte_high_nibbles(byte_vector v) { return byte_low_nibbles(_mm256_srli_epi16(v, 4)); }

// Two products of 4 bits by 8 are 2 · 15 · 127 at most: int16 holds those of all eight quads of a group.
typedef __m256i nibble_sums;
OCTET_INLINE nibble_sums nibble_start(void) { return _mm256_setzero_si256(); }
OCTET_INLINE nibble_sums nibble_dot(nibble_sums sums, byte_vector w, quad_activations a) {
    return _mm256_add_epi16(sums, _mm256_maddubs_epi16(w, a));
}
OCTET_INLINE int_vector nibble_total(nibble_sums sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }

// Of 8 bits by 8, the sign goes to the activation: |w| · ±a is 128 · 127 at most, and two of them less than 2¹⁵.
#define QUAD_SHIFT 128
typedef struct {
    __m256i signs, magnitudes;
} quad_weights;
OCTET_INLINE quad_weights quad_weights_make(byte_vector w) { return (quad_weights){w, _mm256_abs_epi8(w)}; }
typedef int_vector quad_sums;
OCTET_INLINE quad_sums quad_start(void) { return _mm256_setzero_si256(); }
OCTET_INLINE quad_sums quad_dot(quad_sums sums, quad_weights w, quad_activations a) {
    const __m256i pairs = _mm256_maddubs_epi16(w.magnitudes, _mm256_sign_epi8(a, w.signs));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
OCTET_INLINE int_vector quad_total(quad_sums sums) { return sums; }

#include "ymm_depthwise.h"
