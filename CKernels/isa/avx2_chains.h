// The chains of AVX2 (conv_chain.h): vectors of eight pixels, sums of one channel for up to eight of them in registers.

// MARK: - Sums

// `count` chains of `length` quads for `vectors` vectors of pixels; returns the place after them.
OCTET_INLINE const uint8_t *chain_links(const uint8_t *words, size_t count, const uint8_t *panel, __m256i *sums,
                                        const size_t length, const size_t vectors) {
    const __m256i ones = _mm256_set1_epi16(1);
    for (; count > 0; count--) {
        // One load for all places: taken one by one, compilers would make a vector of them.
        uint32_t places;
        memcpy(&places, words, sizeof places);
        const uint8_t *from[octet_chain_longest];
        __m256i weights[octet_chain_longest];
        OCTET_UNROLL
        for (size_t i = 0; i < length; i++) {
            int32_t four;
            memcpy(&four, words + 4 + 4 * i, sizeof four);
            weights[i] = _mm256_set1_epi32(four);
            from[i] = panel + (size_t)(places >> 8 * i & 255) * octet_chain_pitch;
        }
        words += 4 + 4 * length;
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
    return words;
}

OCTET_INLINE void chain_tile_body(const octet_chain_tile *t, const size_t vectors) {
    for (size_t channel = 0; channel < t->channels; channel++) {
        __m256i *stored = (__m256i *)(t->sums + channel * octet_chain_pixels);
        __m256i sums[octet_chain_pixels / LANES];
        OCTET_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sums[v] = t->initial ? _mm256_set1_epi32(t->initial[channel]) : _mm256_load_si256(stored + v);
        const octet_chain_entry *entry = t->entries + channel;
        const uint8_t *words = t->words + (size_t)entry->start * 4;
        words = chain_links(words, entry->counts[3], t->panel, sums, 4, vectors);
        words = chain_links(words, entry->counts[2], t->panel, sums, 3, vectors);
        words = chain_links(words, entry->counts[1], t->panel, sums, 2, vectors);
        chain_links(words, entry->counts[0], t->panel, sums, 1, vectors);
        OCTET_UNROLL
        for (size_t v = 0; v < vectors; v++) _mm256_store_si256(stored + v, sums[v]);
    }
}

#define CHAIN_TILES(STAMP) STAMP(1) STAMP(2) STAMP(3) STAMP(4) STAMP(5) STAMP(6) STAMP(7) STAMP(8)
#define STAMP(vectors) \
    static void chain_tile_##vectors(const octet_chain_tile *t) { chain_tile_body(t, vectors); }
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
#undef CHAIN_TILES

// MARK: - Epilogue

// The low bytes of four channels, eight pixels each → [pixel][4].
OCTET_INLINE __m256i chain_interleave(const __m256i *bytes) {
    const __m256i even = _mm256_blend_epi16(bytes[0], _mm256_slli_epi32(bytes[2], 16), 0xAA);
    const __m256i odd = _mm256_blend_epi16(bytes[1], _mm256_slli_epi32(bytes[3], 16), 0xAA);
    return _mm256_or_si256(_mm256_and_si256(even, _mm256_set1_epi16(255)), _mm256_slli_epi16(odd, 8));
}

// Four channels of eight pixels, requantized: what int8_finish_plain does, with the zero point added to bytes.
OCTET_INLINE __m256i chain_bytes(const octet_epilogue *e, size_t channel, const int32_t *sums) {
    const __m256 lower = _mm256_set1_ps(e->lower), upper = _mm256_set1_ps(e->upper);
    __m256i bytes[4];
    OCTET_UNROLL
    for (size_t i = 0; i < 4; i++) {
        const __m256 sum = float_from_int(_mm256_load_si256((const __m256i *)(sums + i * octet_chain_pixels)));
        const __m256 scaled = float_multiply(sum, _mm256_broadcast_ss(e->scale + channel + i));
        const __m256 real = float_add(scaled, _mm256_broadcast_ss(e->bias + channel + i));
        bytes[i] = float_round(float_min(float_max(real, lower), upper));
    }
    return _mm256_add_epi8(chain_interleave(bytes), _mm256_set1_epi8((char)e->zero));
}

// The common case: bytes, sixteen channels, no residual. One store for each pixel.
static void chain_finish_bytes(const octet_tile *t, const int32_t *sums) {
    uint8_t *to = t->output;
    for (size_t row = 0; row < t->rows; row += LANES) {
        __m256i quads[4], halves[4];
        OCTET_UNROLL
        for (size_t i = 0; i < 4; i++)
            quads[i] = chain_bytes(t->epilogue, t->channel + 4 * i, sums + 4 * i * octet_chain_pixels + row);
        OCTET_UNROLL
        for (size_t i = 0; i < 4; i += 2) {
            halves[i] = _mm256_unpacklo_epi32(quads[i], quads[i + 1]);
            halves[i + 1] = _mm256_unpackhi_epi32(quads[i], quads[i + 1]);
        }
        __m128i pixels[LANES];
        OCTET_UNROLL
        for (size_t i = 0; i < 2; i++) {
            const __m256i low = _mm256_unpacklo_epi64(halves[i], halves[i + 2]);
            const __m256i high = _mm256_unpackhi_epi64(halves[i], halves[i + 2]);
            pixels[2 * i] = _mm256_castsi256_si128(low);
            pixels[2 * i + 1] = _mm256_castsi256_si128(high);
            pixels[2 * i + 4] = _mm256_extracti128_si256(low, 1);
            pixels[2 * i + 5] = _mm256_extracti128_si256(high, 1);
        }
        uint8_t *first = to + row * t->output_stride;
        if (t->rows - row >= LANES) {
            OCTET_UNROLL
            for (size_t i = 0; i < LANES; i++) _mm_storeu_si128((__m128i *)(first + i * t->output_stride), pixels[i]);
        } else {
            for (size_t i = 0; i < t->rows - row; i++)
                _mm_storeu_si128((__m128i *)(first + i * t->output_stride), pixels[i]);
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

static void chain_finish(const octet_tile *t, const int32_t *sums) {
    const bool plain = t->epilogue->output == OCTET_OUTPUT_UINT8 && !t->residual;
    if (plain && t->channels == octet_chain_finished) {
        chain_finish_bytes(t, sums);
        return;
    }
    // Everything else turns channels back into lanes and goes the way of every other tile.
    const size_t element = t->epilogue->output == OCTET_OUTPUT_UINT8 ? 1 : 4;
    for (size_t channel = 0; channel < t->channels; channel += LANES) {
        octet_tile part = *t;
        part.panels = 1;
        part.channel = t->channel + channel;
        part.channels = octet_smaller(t->channels - channel, LANES);
        for (size_t row = 0; row < t->rows; row += LANES) {
            const size_t place = row * t->output_stride + channel;
            part.rows = octet_smaller(t->rows - row, LANES);
            part.output = (char *)t->output + place * element;
            part.residual = t->residual ? (const char *)t->residual + place : NULL;
            __m256i block[LANES];
            for (size_t i = 0; i < LANES; i++) {
                // Channels that do not exist repeat the last one.
                const size_t from = channel + octet_smaller(i, part.channels - 1);
                block[i] = _mm256_load_si256((const __m256i *)(sums + from * octet_chain_pixels + row));
            }
            transpose_8x8(block);
            int8_finish_all(&part, block);
        }
    }
}

// MARK: - Activations

// Eight pixels of sixteen channels.
OCTET_INLINE void chain_quads_8x16(uint8_t *to, size_t to_pitch, const uint8_t *from, size_t from_pitch) {
    __m256i rows[4], pairs[4];
    OCTET_UNROLL
    for (size_t i = 0; i < 4; i++) {
        const __m128i low = _mm_loadu_si128((const __m128i *)(from + i * from_pitch));
        const __m128i high = _mm_loadu_si128((const __m128i *)(from + (i + 4) * from_pitch));
        rows[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    }
    OCTET_UNROLL
    for (size_t i = 0; i < 4; i += 2) {
        pairs[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    OCTET_UNROLL
    for (size_t i = 0; i < 2; i++) {
        _mm256_storeu_si256((__m256i *)(to + 2 * i * to_pitch), _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]));
        _mm256_storeu_si256((__m256i *)(to + (2 * i + 1) * to_pitch), _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]));
    }
}

static void chain_to_quads(uint8_t *to, size_t to_pitch, const uint8_t *from, size_t from_pitch, size_t count,
                           size_t channels) {
    const size_t blocks = count < LANES ? 0 : channels / 16;
    for (size_t pixel = 0; blocks > 0 && pixel < count; pixel += LANES) {
        // The last pixels once more together with those before them.
        const size_t first = octet_smaller(pixel, count - LANES);
        for (size_t i = 0; i < blocks; i++)
            chain_quads_8x16(to + 4 * i * to_pitch + 4 * first, to_pitch, from + first * from_pitch + 16 * i,
                             from_pitch);
    }
    size_t channel = 16 * blocks;
    for (; channel + 4 <= channels; channel += 4) {
        uint8_t *row = to + channel / 4 * to_pitch;
        for (size_t pixel = 0; pixel < count; pixel++) memcpy(row + 4 * pixel, from + pixel * from_pitch + channel, 4);
    }
    if (channel == channels) return;
    uint8_t *row = to + channel / 4 * to_pitch;
    for (size_t pixel = 0; pixel < count; pixel++) {
        const uint32_t quad = (uint32_t)load_bytes(from + pixel * from_pitch + channel, channels - channel);
        memcpy(row + 4 * pixel, &quad, sizeof quad);
    }
}

OCTET_INLINE void chain_gather_row(uint8_t *to, const uint8_t *from, const octet_chain_run_of_pixels *runs,
                                   size_t run_count, const size_t stride) {
    for (size_t i = 0; i < run_count; i++) {
        const uint8_t *source = from + runs[i].from;
        uint8_t *pixel = to + runs[i].to, *end = pixel + 4 * runs[i].count;
        for (; pixel < end; pixel += 32, source += 32 * stride) {
            __m256 eight = _mm256_loadu_ps((const float *)source);
            if (stride == 2) {
                eight = _mm256_shuffle_ps(eight, _mm256_loadu_ps((const float *)(source + 32)), 0x88);
                eight = _mm256_castsi256_ps(_mm256_permute4x64_epi64(_mm256_castps_si256(eight), 0xD8));
            }
            _mm256_storeu_ps((float *)pixel, eight);
        }
    }
}

static void chain_gather(uint8_t *panel, const uint8_t *from, const size_t *offsets, size_t count,
                         const octet_chain_run_of_pixels *runs, size_t run_count, size_t stride) {
    for (size_t k = 0; k < count; k++) {
        uint8_t *to = panel + k * octet_chain_pitch;
        const uint8_t *plane = from + offsets[k];
        if (stride == 1) {
            chain_gather_row(to, plane, runs, run_count, 1);
        } else if (stride == 2) {
            chain_gather_row(to, plane, runs, run_count, 2);
        } else {
            for (size_t i = 0; i < run_count; i++)
                for (size_t pixel = 0; pixel < runs[i].count; pixel++)
                    memcpy(to + runs[i].to + 4 * pixel, plane + runs[i].from + 4 * stride * pixel, 4);
        }
    }
}

static const octet_chain_kernel chain_kernel = {
    .lanes = LANES,
    .tile = chain_tile,
    .finish = chain_finish,
    .to_quads = chain_to_quads,
    .gather = chain_gather,
};
