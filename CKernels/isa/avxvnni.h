// The vocabulary of AVX-VNNI: AVX2 with vpdpbusd (u8 · s8, four products into a lane, exact) in its VEX encoding.
#define ISA_NAME "avxvnni"
#define ISA_SYMBOL octet_isa_avxvnni
#define ISA_FEATURES "AVX2 FMA AVX-VNNI"
#define ISA_DOT "vpdpbusd ymm"

#define STACK_ROWS 4
#include "ymm.h"

// MARK: - Bytes multiplied

#define INT8_KR 4
typedef uint8_t int8_stored;
typedef __m256i int8_activations;
typedef __m256i int8_weights;
OCTET_INLINE int8_activations int8_broadcast(const void *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}
OCTET_INLINE int8_weights int8_load_weights(const void *p) { return _mm256_load_si256((const __m256i *)p); }
OCTET_INLINE int_vector int8_dot(int_vector sum, int8_activations a, int8_weights w) {
    return _mm256_dpbusd_avx_epi32(sum, a, w);
}

// MARK: - Weights of 4 and 8 bits by signed activations

#define QUAD_PANELS 2
#define QUAD_SHIFT 0
typedef __m256i quad_activations;
typedef byte_vector quad_weights;
OCTET_INLINE quad_activations quad_broadcast(const int8_t *p) { return int8_broadcast(p); }
OCTET_INLINE byte_vector byte_low_nibbles(byte_vector v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
OCTET_INLINE byte_vector byte_high_nibbles(byte_vector v) { return byte_low_nibbles(_mm256_srli_epi16(v, 4)); }
OCTET_INLINE quad_weights quad_weights_make(byte_vector w) { return w; }
OCTET_INLINE int_vector quad_dot(int_vector sums, quad_weights w, quad_activations a) {
    return _mm256_dpbusd_avx_epi32(sums, w, a);
}
#define nibble_dot quad_dot
#include "quads.h"

#include "ymm_depthwise.h"
