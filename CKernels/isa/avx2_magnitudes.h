// vpmaddubsw on magnitudes. With s = a − 128, a product s · w is |s| · w, or |s| · ~w + |s| where s is negative
// (~w = −w − 1): exclusive or by the sign does for all channels at once, and Σ |s| of negative ones is the same for all
// channels of a row. Two products are 2 · 128 · 128 at most, and that only with a minus: int16 holds them, whatever the
// weights are. Windows would need their Σ |s| one by one, so only matrices are multiplied like this.

typedef struct {
    __m256i magnitudes, signs;
} magnitudes_activations;
typedef __m256i magnitudes_weights;

// Rows → for each step four magnitudes and four signs, in the order of the weights. What is missing at the end counts
// as 0: there weights are 0, and what ~0 takes away is added again.
static int32_t magnitudes_store(void *to, const void *from, size_t count) {
    const uint8_t *bytes = from;
    char *out = to;
    const __m256i order = _mm256_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15,  //
                                           0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
    const __m256i zero = _mm256_setzero_si256();
    __m256i total = zero;
    for (size_t part; count > 0; bytes += part, count -= part, out += 64) {
        part = octet_smaller(count, 32);
        const __m256i read = part == 32 ? byte_load(bytes) : byte_load_part(bytes, part);
        const __m256i shifted = _mm256_shuffle_epi8(_mm256_xor_si256(read, _mm256_set1_epi8(-128)), order);
        const __m256i magnitudes = _mm256_abs_epi8(shifted), signs = _mm256_cmpgt_epi8(zero, shifted);
        const __m256i first = _mm256_unpacklo_epi32(magnitudes, signs);
        const __m256i second = _mm256_unpackhi_epi32(magnitudes, signs);
        const __m256i lower = _mm256_permute2x128_si256(first, second, 0x20);
        const __m256i upper = _mm256_permute2x128_si256(first, second, 0x31);
        if (part == 32) {
            _mm256_storeu_si256((__m256i *)out, lower);
            _mm256_storeu_si256((__m256i *)(out + 32), upper);
            total = _mm256_add_epi64(total, _mm256_sad_epu8(_mm256_and_si256(magnitudes, signs), zero));
        } else {
            __m256i end[2] = {lower, upper};
            const size_t steps = octet_divide_up(part, 4);
            memcpy(out, end, steps * 8);
            // (Of the last step, what is missing too.)
            const __m256i there =
                _mm256_cmpgt_epi32(_mm256_set1_epi32((int)steps), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
            const __m256i counted = _mm256_and_si256(_mm256_and_si256(magnitudes, signs), there);
            total = _mm256_add_epi64(total, _mm256_sad_epu8(counted, zero));
        }
    }
    const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
    return (int32_t)(_mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1));
}

OCTET_INLINE magnitudes_activations magnitudes_broadcast(const void *p) {
    return (magnitudes_activations){int8_broadcast(p), int8_broadcast((const char *)p + 4)};
}
OCTET_INLINE magnitudes_weights magnitudes_load_weights(const void *p) { return int8_load_weights(p); }
OCTET_INLINE __m256i magnitudes_dot(__m256i sum, magnitudes_activations a, magnitudes_weights w) {
    const __m256i pairs = _mm256_maddubs_epi16(a.magnitudes, _mm256_xor_si256(w, a.signs));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
// What 128 less takes from the sums stands in front of the weights.
OCTET_INLINE __m256i magnitudes_start(const octet_tile *t, size_t panel) {
    const char *shift = t->weights + panel * t->panel_stride - sizeof(__m256i);
    return _mm256_add_epi32(int8_start(t, panel), _mm256_load_si256((const __m256i *)shift));
}

#define magnitudes_shift_rows int8_shift_rows
#define magnitudes_epilogue int8_epilogue
#define magnitudes_epilogue_load int8_epilogue_load
#define magnitudes_corrected int8_corrected
#define magnitudes_finish int8_finish
#define magnitudes_is_plain int8_is_plain
#define magnitudes_finish_plain int8_finish_plain
#define magnitudes_is_real int8_is_real
#define magnitudes_finish_real int8_finish_real

#define TILE(name) magnitudes_##name
#define TILE_SUM int_vector
#define TILE_STEP 8
#define TILE_WEIGHT_STEP 32
#define TILE_RESIDUAL_SIZE 1
#include "../generic/gemm.inc"
#undef TILE
#undef TILE_SUM
#undef TILE_STEP
#undef TILE_WEIGHT_STEP
#undef TILE_RESIDUAL_SIZE

static const octet_magnitudes_kernel magnitudes_kernel = {
    .mr = 5,  // with six, sums leave too few registers
    .store = magnitudes_store,
    .tile = magnitudes_tile,
};
