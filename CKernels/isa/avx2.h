// The vocabulary of AVX2 with FMA: 8 lanes of 32 bits, vpmaddwd (two int16 products into a lane, exact). The byte
// multiply vpmaddubsw is faster and saturates: it serves where weights can be ordered so that it does not
// (avx2_chains.h). Tiles take any weights, so there activations are stored as int16 and weights widened when loaded.
#define ISA_NAME "avx2"
#define ISA_SYMBOL octet_isa_avx2
#define ISA_FEATURES "AVX2 FMA"
#define ISA_DOT "vpmaddubsw + vpmaddwd + vpaddd ymm"

#define ISA_CHAINS "../isa/avx2_chains.h"

#include "ymm.h"

// MARK: - Bytes multiplied

#define INT8_KR 2
typedef uint16_t int8_stored;
typedef __m256i int8_activations;
typedef __m256i int8_weights;
OCTET_INLINE int8_activations int8_broadcast(const void *p) {
    int32_t two;
    memcpy(&two, p, sizeof two);
    return _mm256_set1_epi32(two);
}
OCTET_INLINE int8_weights int8_load_weights(const void *p) {
    return _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)p));
}
OCTET_INLINE __m256i int8_dot(__m256i sum, int8_activations a, int8_weights w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, w));
}
// The byte multiply, whatever it saturates: what chains come near to, and what the speed of this CPU is measured by.
#define INT8_PEAK_PRODUCTS (LANES * 4)
OCTET_INLINE __m256i int8_peak_dot(__m256i sum, __m256i a, __m256i w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, w), _mm256_set1_epi16(1)));
}

#include "ymm_depthwise.h"
