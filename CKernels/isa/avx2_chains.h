// The chains of AVX2 (conv_chain.h): vectors of eight pixels, sums of one channel for up to eight of them in registers.

// MARK: - Sums

enum { chain_step = 4 * LANES };  // bytes from one quad of a channel to the next, in packed weights

// One chain: four weights and where their activations lie, for each multiply.
OCTET_INLINE void chain_add(const __m256i *weights, const uint8_t *const *from, __m256i *sums, const size_t length,
                            const size_t vectors) {
    const __m256i ones = _mm256_set1_epi16(1);
    OCTET_UNROLL
    for (size_t v = 0; v < vectors; v++) {
        __m256i products[octet_chain_longest];
        OCTET_UNROLL
        for (size_t i = 0; i < length; i++)
            products[i] = _mm256_maddubs_epi16(_mm256_load_si256((const __m256i *)(from[i] + 32 * v)), weights[i]);
        OCTET_UNROLL
        for (size_t i = 1; i < length; i++) products[0] = _mm256_add_epi16(products[0], products[i]);
        sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(products[0], ones));
    }
}

OCTET_INLINE __m256i chain_broadcast(const void *four_weights) {
    int32_t four;
    memcpy(&four, four_weights, sizeof four);
    return _mm256_set1_epi32(four);
}

// `count` chains of `length` references for `vectors` vectors of pixels; returns the place after them.
OCTET_INLINE const octet_chain_reference *chain_references(const octet_chain_reference *references, size_t count,
                                                           const char *panel_weights, const uint8_t *panel,
                                                           __m256i *sums, const size_t length, const size_t vectors) {
    for (; count > 0; count--, references += length) {
        const uint8_t *from[octet_chain_longest];
        __m256i weights[octet_chain_longest];
        OCTET_UNROLL
        for (size_t i = 0; i < length; i++) {
            size_t place = (size_t)references[i] * chain_step;
            // Else compilers would make a vector of all places, and take it apart again.
            __asm__("" : "+r"(place));
            weights[i] = chain_broadcast(panel_weights + place);
            from[i] = panel + place * (octet_chain_pitch / chain_step);
        }
        chain_add(weights, from, sums, length, vectors);
    }
    return references;
}

// `count` quads, each by every second of its weights.
OCTET_INLINE void chain_halves(const octet_chain_reference *references, size_t count, const char *panel_weights,
                               const uint8_t *panel, __m256i *sums, const size_t vectors) {
    const __m256i ones = _mm256_set1_epi16(1), even = _mm256_set1_epi16(255);
    for (; count > 0; count--, references++) {
        const __m256i all = chain_broadcast(panel_weights + (size_t)*references * chain_step);
        const __m256i halves[] = {_mm256_and_si256(all, even), _mm256_andnot_si256(even, all)};
        const uint8_t *from = panel + (size_t)*references * octet_chain_pitch;
        OCTET_UNROLL
        for (size_t v = 0; v < vectors; v++) {
            const __m256i four = _mm256_load_si256((const __m256i *)(from + 32 * v));
            OCTET_UNROLL
            for (size_t i = 0; i < 2; i++) {
                const __m256i products = _mm256_maddubs_epi16(four, halves[i]);
                sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(products, ones));
            }
        }
    }
}

// `count` chains of `length` links.
OCTET_INLINE const octet_chain_link *chain_links(const octet_chain_link *links, size_t count, const uint8_t *panel,
                                                 __m256i *sums, const size_t length, const size_t vectors) {
    for (; count > 0; count--, links += length) {
        const uint8_t *from[octet_chain_longest];
        __m256i weights[octet_chain_longest];
        OCTET_UNROLL
        for (size_t i = 0; i < length; i++) {
            size_t place = links[i].place;
            __asm__("" : "+r"(place));
            weights[i] = chain_broadcast(links[i].weights);
            from[i] = panel + place;
        }
        chain_add(weights, from, sums, length, vectors);
    }
    return links;
}

// `count` quads in int16.
OCTET_INLINE void chain_pairs(const octet_chain_pairs *pairs, size_t count, const uint8_t *panel, __m256i *sums,
                              const size_t vectors) {
    for (; count > 0; count--, pairs++) {
        int32_t even, odd;
        memcpy(&even, pairs->even, sizeof even);
        memcpy(&odd, pairs->odd, sizeof odd);
        const __m256i weights[] = {_mm256_set1_epi32(even), _mm256_set1_epi32(odd)};
        const uint8_t *from = panel + pairs->place;
        OCTET_UNROLL
        for (size_t i = 0; i < 2; i++) {
            OCTET_UNROLL
            for (size_t v = 0; v < vectors; v++) {
                const __m256i two = _mm256_load_si256((const __m256i *)(from + i * octet_chain_pitch + 32 * v));
                sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(two, weights[i]));
            }
        }
    }
}

// The sums of one channel.
OCTET_INLINE void chain_sum(const octet_chain_tile *t, size_t channel, __m256i *sums, const size_t vectors) {
    const __m256i *stored = (const __m256i *)(t->sums + channel * octet_chain_pixels);
    OCTET_UNROLL
    for (size_t v = 0; v < vectors; v++)
        sums[v] = t->initial ? _mm256_set1_epi32(t->initial[channel]) : _mm256_load_si256(stored + v);
    const octet_chain_entry *entry = t->entries + channel;
    if (t->links) {
        const octet_chain_link *links = t->links + entry->start;
        links = chain_links(links, entry->counts[3], t->panel, sums, 4, vectors);
        links = chain_links(links, entry->counts[2], t->panel, sums, 3, vectors);
        links = chain_links(links, entry->counts[1], t->panel, sums, 2, vectors);
        links = chain_links(links, entry->counts[0], t->panel, sums, 1, vectors);
        chain_pairs((const octet_chain_pairs *)links, entry->others, t->panel, sums, vectors);
        return;
    }
    const octet_chain_reference *references = t->references + entry->start;
    const char *weights = t->weights + channel / LANES * t->weights_pitch + channel % LANES * 4;
    // Chains read the panel in any order: its next one comes in time if it is asked for.
    const char *next = t->weights + (channel / LANES + 1) * t->weights_pitch + channel % LANES * 64;
    for (size_t i = 0; i < t->quads * chain_step; i += LANES * 64) _mm_prefetch(next + i, _MM_HINT_T0);
    references = chain_references(references, entry->counts[3], weights, t->panel, sums, 4, vectors);
    references = chain_references(references, entry->counts[2], weights, t->panel, sums, 3, vectors);
    references = chain_references(references, entry->counts[1], weights, t->panel, sums, 2, vectors);
    references = chain_references(references, entry->counts[0], weights, t->panel, sums, 1, vectors);
    chain_halves(references, entry->others, weights, t->panel, sums, vectors);
}

OCTET_INLINE void chain_tile_body(const octet_chain_tile *t, const size_t vectors) {
    for (size_t channel = 0; channel < t->channels; channel++) {
        __m256i sums[octet_chain_pixels / LANES];
        chain_sum(t, channel, sums, vectors);
        OCTET_UNROLL
        for (size_t v = 0; v < vectors; v++)
            _mm256_store_si256((__m256i *)(t->sums + channel * octet_chain_pixels) + v, sums[v]);
    }
}

// MARK: - Epilogue, in registers

// How much of clamping is left to do: saturation does the rest.
typedef enum {
    chain_clamps_all,    // reals can be too big for an int
    chain_clamps_bytes,  // not that
    chain_clamps_none,   // and the output is 0 ... 255 with zero point 0
} chain_clamping;

// What all channels have in common.
typedef struct {
    chain_clamping clamping;
    __m256 upper, residual_scale;
    __m256i lowest, span, base, residual_zero;
} chain_bounds;

OCTET_INLINE chain_bounds chain_bounds_of(const octet_tile *t) {
    const octet_epilogue *e = t->epilogue;
    const int32_t lowest = _mm_cvtss_si32(_mm_set_ss(e->lower)), highest = _mm_cvtss_si32(_mm_set_ss(e->upper));
    chain_bounds b = {
        .clamping = lowest == 0 && highest == 255 && e->zero == 0 ? chain_clamps_none : chain_clamps_bytes,
        .upper = float_broadcast(e->upper),
        .residual_scale = float_broadcast(e->residual_scale),
        .lowest = _mm256_set1_epi16((short)lowest),
        .span = _mm256_set1_epi8((char)(highest - lowest)),
        .base = _mm256_set1_epi8((char)(lowest + e->zero)),
        .residual_zero = int_broadcast(e->residual_zero),
    };
    // |sum| ≤ 2³¹, so that these make less than 2³¹.
    const float most_scale = 0.5F, most_added = 0x1p29F;
    bool fits = !t->residual || fabsf(e->residual_scale) * 256 <= most_added;
    for (size_t i = t->channel; i < t->channel + t->channels; i++)
        fits &= (fabsf(e->scale[i]) <= most_scale) & (fabsf(e->bias[i]) <= most_added);
    if (!fits) b.clamping = chain_clamps_all;
    return b;
}

// Sums of one channel → bytes, with the residual's if there is one: what int8_finish does. Four vectors are packed to
// one, which saturates; the smallest int, which stands for all too small reals, too. Lanes of four pixels stay where
// that puts them: first the lower halves of four vectors.
OCTET_INLINE void chain_requantize(uint8_t *to, const chain_bounds *b, const chain_clamping clamping, float scale,
                                   float bias, const uint8_t *residual, const __m256i *sums, const size_t vectors) {
    __m256 reals[octet_chain_pixels / LANES];
    OCTET_UNROLL
    for (size_t v = 0; v < vectors; v++)
        reals[v] = float_add(float_multiply(float_from_int(sums[v]), float_broadcast(scale)), float_broadcast(bias));
    if (residual) {
        OCTET_UNROLL
        for (size_t v = 0; v < vectors; v++) {
            const __m256i added = int_subtract(int_load_u8(residual + v * LANES), b->residual_zero);
            reals[v] = float_add(reals[v], float_multiply(float_from_int(added), b->residual_scale));
        }
    }
    OCTET_UNROLL
    for (size_t v = 0; v < vectors; v += 4) {
        __m256i ints[4];
        OCTET_UNROLL
        for (size_t i = 0; i < 4; i++) {
            const __m256 real = reals[v + i < vectors ? v + i : v];
            ints[i] = float_round(clamping == chain_clamps_all ? float_min(real, b->upper) : real);
        }
        __m256i low = _mm256_packs_epi32(ints[0], ints[1]), high = _mm256_packs_epi32(ints[2], ints[3]), bytes;
        if (clamping == chain_clamps_none) {
            bytes = _mm256_packus_epi16(low, high);
        } else {
            low = _mm256_subs_epi16(low, b->lowest);
            high = _mm256_subs_epi16(high, b->lowest);
            bytes = _mm256_add_epi8(_mm256_min_epu8(_mm256_packus_epi16(low, high), b->span), b->base);
        }
        _mm256_store_si256((__m256i *)(to + v * LANES), bytes);
    }
}

OCTET_INLINE void chain_finish_body(const octet_chain_tile *t, const octet_tile *to, const uint8_t *residual,
                                    uint8_t *bytes, const size_t vectors) {
    const chain_bounds b = chain_bounds_of(to);
    const float *scales = to->epilogue->scale + to->channel, *biases = to->epilogue->bias + to->channel;
    for (size_t channel = 0; channel < t->channels; channel++, bytes += octet_chain_pixels) {
        __m256i sums[octet_chain_pixels / LANES];
        chain_sum(t, channel, sums, vectors);
        const uint8_t *added = residual ? residual + channel * octet_chain_pixels : NULL;
        const float scale = scales[channel], bias = biases[channel];
        if (b.clamping == chain_clamps_none) {
            chain_requantize(bytes, &b, chain_clamps_none, scale, bias, added, sums, vectors);
        } else if (b.clamping == chain_clamps_bytes) {
            chain_requantize(bytes, &b, chain_clamps_bytes, scale, bias, added, sums, vectors);
        } else {
            chain_requantize(bytes, &b, chain_clamps_all, scale, bias, added, sums, vectors);
        }
    }
}

#define CHAIN_TILES(STAMP) STAMP(1) STAMP(2) STAMP(3) STAMP(4) STAMP(5) STAMP(6) STAMP(7) STAMP(8)
#define STAMP(vectors)                                                                                           \
    static void chain_tile_##vectors(const octet_chain_tile *t) { chain_tile_body(t, vectors); }                 \
    static void chain_finish_##vectors(const octet_chain_tile *t, const octet_tile *to, const uint8_t *residual, \
                                       uint8_t *bytes) {                                                         \
        chain_finish_body(t, to, residual, bytes, vectors);                                                      \
    }
CHAIN_TILES(STAMP)
#undef STAMP

static void chain_tile(const octet_chain_tile *t) {
    static void (*const tiles[])(const octet_chain_tile *) = {NULL,
#define STAMP(vectors) chain_tile_##vectors,
                                                              CHAIN_TILES(STAMP)
#undef STAMP
    };
    tiles[t->vectors](t);
}

// MARK: - From planes of channels to pixels and back

// In each half of eight vectors v[i] of sixteen bytes: byte b of v[i] goes to byte i of the lower (b even) or upper (b
// odd) eight bytes of v[b / 2].
OCTET_INLINE void chain_transpose_8(__m256i *v) {
    // Vector number and byte number together are seven bits; every step turns them left by one.
    OCTET_UNROLL
    for (size_t step = 0; step < 3; step++) {
        __m256i w[8];
        OCTET_UNROLL
        for (size_t i = 0; i < 4; i++) {
            w[2 * i] = _mm256_unpacklo_epi8(v[i], v[i + 4]);
            w[2 * i + 1] = _mm256_unpackhi_epi8(v[i], v[i + 4]);
        }
        OCTET_UNROLL
        for (size_t i = 0; i < 8; i++) v[i] = w[i];
    }
}

// Eight or sixteen channels of 32 pixels, in planes as chain_requantize writes them → pixels of a tensor, of which some
// at the end, and of eight channels some, need not exist.
OCTET_INLINE void chain_store_pixels(uint8_t *to, size_t stride, const uint8_t *bytes, size_t rows, size_t existing,
                                     const size_t channels) {
    __m256i v[2][8];
    OCTET_UNROLL
    for (size_t part = 0; part < channels / 8; part++) {
        OCTET_UNROLL
        for (size_t i = 0; i < 8; i++)
            v[part][i] = _mm256_load_si256((const __m256i *)(bytes + (8 * part + i) * octet_chain_pixels));
        chain_transpose_8(v[part]);
    }
    OCTET_UNROLL
    for (size_t i = 0; i < 16; i++) {
        const size_t pixel = i / 4 * LANES + i % 4;
        const __m256i first = v[0][i / 2], second = channels == 16 ? v[1][i / 2] : first;
        const __m256i both = i % 2 ? _mm256_unpackhi_epi64(first, second) : _mm256_unpacklo_epi64(first, second);
        const __m128i halves[2] = {_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)};
        OCTET_UNROLL
        for (size_t half = 0; half < 2; half++) {
            uint8_t *place = to + (pixel + 4 * half) * stride;
            if (pixel + 4 * half >= rows) continue;
            if (channels == 16) {
                _mm_storeu_si128((__m128i *)place, halves[half]);
            } else if (existing == 8) {
                _mm_storel_epi64((__m128i *)place, halves[half]);
            } else {
                store_bytes(place, (uint64_t)_mm_cvtsi128_si64(halves[half]), existing);
            }
        }
    }
}
static void chain_to_pixels(const octet_tile *t, const uint8_t *bytes) {
    for (size_t first = 0; first < t->rows; first += 4 * LANES) {
        const size_t rows = octet_smaller(t->rows - first, 4 * LANES);
        uint8_t *to = (uint8_t *)t->output + first * t->output_stride;
        size_t channel = 0;
        for (; channel + 16 <= t->channels; channel += 16) {
            const uint8_t *from = bytes + channel * octet_chain_pixels + first;
            // (Whole vectors: no pixel is asked whether it exists.)
            if (rows == 4 * LANES) {
                chain_store_pixels(to + channel, t->output_stride, from, 4 * LANES, 16, 16);
            } else {
                chain_store_pixels(to + channel, t->output_stride, from, rows, 16, 16);
            }
        }
        for (; channel < t->channels; channel += 8)
            chain_store_pixels(to + channel, t->output_stride, bytes + channel * octet_chain_pixels + first, rows,
                               octet_smaller(t->channels - channel, 8), 8);
    }
}

// Pixels of a tensor → planes of channels, here with the pixels in order.
static void chain_from_pixels(const octet_tile *t, uint8_t *bytes) {
    for (size_t first = 0; first < t->rows; first += 4 * LANES) {
        for (size_t channel = 0; channel < t->channels; channel += 8) {
            const size_t existing = octet_smaller(t->channels - channel, 8);
            __m256i v[8];
            OCTET_UNROLL
            for (size_t i = 0; i < 8; i++) {
                // Pixels 8 apart are 8 bytes apart; the last one stands for those that do not exist.
                long long eights[4];
                OCTET_UNROLL
                for (size_t j = 0; j < 4; j++) {
                    const size_t pixel = octet_smaller(first + i + 8 * j, t->rows - 1);
                    const uint8_t *place = (const uint8_t *)t->residual + pixel * t->output_stride + channel;
                    eights[j] = (long long)load_bytes(place, existing);
                }
                v[i] = _mm256_setr_epi64x(eights[0], eights[1], eights[2], eights[3]);
            }
            chain_transpose_8(v);
            OCTET_UNROLL
            for (size_t i = 0; i < 4; i++) {
                uint8_t *to = bytes + (channel + 2 * i) * octet_chain_pixels + first;
                _mm256_store_si256((__m256i *)to, _mm256_unpacklo_epi64(v[i], v[i + 4]));
                _mm256_store_si256((__m256i *)(to + octet_chain_pixels), _mm256_unpackhi_epi64(v[i], v[i + 4]));
            }
        }
    }
}

OCTET_INLINE void transpose_8x8(__m256i *v) {
    __m256i pairs[8];
    OCTET_UNROLL
    for (size_t i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    __m256i fours[8];
    OCTET_UNROLL
    for (size_t i = 0; i < 8; i += 4) {
        OCTET_UNROLL
        for (size_t j = 0; j < 2; j++) {
            fours[i + 2 * j] = _mm256_unpacklo_epi64(pairs[i + j], pairs[i + j + 2]);
            fours[i + 2 * j + 1] = _mm256_unpackhi_epi64(pairs[i + j], pairs[i + j + 2]);
        }
    }
    OCTET_UNROLL
    for (size_t i = 0; i < 4; i++) {
        v[i] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x20);
        v[i + 4] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x31);
    }
}

// Integers and floats turn channels back into lanes and go the way of every other tile.
static void chain_finish_words(const octet_tile *t, const int32_t *sums) {
    for (size_t channel = 0; channel < t->channels; channel += LANES) {
        octet_tile part = *t;
        part.panels = 1;
        part.channel = t->channel + channel;
        part.channels = octet_smaller(t->channels - channel, LANES);
        for (size_t row = 0; row < t->rows; row += LANES) {
            const size_t place = row * t->output_stride + channel;
            part.rows = octet_smaller(t->rows - row, LANES);
            part.output = (char *)t->output + place * sizeof(int32_t);
            part.residual = t->residual ? (const char *)t->residual + place : NULL;
            __m256i block[LANES];
            for (size_t i = 0; i < LANES; i++) {
                // Channels that do not exist repeat the last one.
                const size_t from = channel + octet_smaller(i, part.channels - 1);
                block[i] = _mm256_load_si256((const __m256i *)(sums + from * octet_chain_pixels + row));
            }
            transpose_8x8(block);
            if (part.rows == LANES && int8_is_real(&part)) {
                int8_finish_real(&part, block, LANES, 1);
            } else {
                int8_finish_all(&part, block);
            }
        }
    }
}

static void chain_finish(const octet_chain_tile *t, const octet_tile *to) {
    if (to->epilogue->output != OCTET_OUTPUT_UINT8) {
        chain_tile(t);
        chain_finish_words(to, t->sums);
        return;
    }
    static void (*const tiles[])(const octet_chain_tile *, const octet_tile *, const uint8_t *, uint8_t *) = {
        NULL,
#define STAMP(vectors) chain_finish_##vectors,
        CHAIN_TILES(STAMP)
#undef STAMP
    };
    uint8_t residual[octet_chain_finished * octet_chain_pixels] __attribute__((aligned(32)));
    uint8_t bytes[octet_chain_finished * octet_chain_pixels] __attribute__((aligned(32)));
    if (to->residual) chain_from_pixels(to, residual);
    tiles[t->vectors](t, to, to->residual ? residual : NULL, bytes);
    chain_to_pixels(to, bytes);
}
#undef CHAIN_TILES

#include "avx2_chain_panels.h"

static const octet_chain_kernel chain_kernel = {
    .lanes = LANES,
    .tile = chain_tile,
    .finish = chain_finish,
    .to_quads = chain_to_quads,
    .rows_to_quads = chain_rows_to_quads,
    .gather = chain_gather,
};
