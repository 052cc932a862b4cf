// How activations come into the panels that chains read (conv_chain.h): from pixels, from kernel rows, from planes.

// Eight pixels of sixteen bytes each → four quads.
OCTET_INLINE void chain_quads_of_8(__m256i *made, const uint8_t *from, size_t from_pitch) {
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
        made[2 * i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
        made[2 * i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
    }
}

// Eight pixels, reading sixteen bytes where a channel is left. Bytes 1 and 2 of a quad change places, as panels have
// their weights.
OCTET_INLINE void chain_quads_of_pixels(uint8_t *to, size_t to_pitch, const uint8_t *from, size_t from_pitch,
                                        size_t quads) {
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15));
    for (size_t done = 0; done < quads; done += 4, from += 16) {
        __m256i made[4];
        chain_quads_of_8(made, from, from_pitch);
        OCTET_UNROLL
        for (size_t i = 0; i < 4; i++) {
            if (done + i == quads) break;
            _mm256_storeu_si256((__m256i *)(to + (done + i) * to_pitch), _mm256_shuffle_epi8(made[i], order));
        }
    }
}

static void chain_to_quads(uint8_t *to, size_t to_pitch, const uint8_t *from, size_t from_pitch, size_t count,
                           size_t channels, const uint8_t *end) {
    const size_t quads = octet_divide_up(channels, 4);
    const size_t reach = (LANES - 1) * from_pitch + octet_round_up(channels, 16);
    for (size_t pixel = 0; pixel < count; pixel += LANES) {
        // The last pixels once more together with those before them.
        const size_t first = count < LANES ? pixel : octet_smaller(pixel, count - LANES);
        const uint8_t *source = from + first * from_pitch;
        if (reach <= (size_t)(end - source)) {
            chain_quads_of_pixels(to + 4 * first, to_pitch, source, from_pitch, quads);
            continue;
        }
        for (size_t p = pixel; p < octet_smaller(pixel + LANES, count); p++) {
            for (size_t i = 0; i < quads; i++) {
                const size_t bytes = octet_smaller(channels - 4 * i, 4);
                uint32_t quad = (uint32_t)load_bytes(from + p * from_pitch + 4 * i, bytes);
                quad = (quad & 0xFF0000FF) | (quad & 0xFF00) << 8 | (quad & 0xFF0000) >> 8;
                memcpy(to + i * to_pitch + 4 * p, &quad, sizeof quad);
            }
        }
    }
}

// How the windows of kernel rows become quads, as octet_chain_layout has it.
typedef struct {
    size_t rows, full, rest, share;
} chain_window;

// Where the next quad goes, and where its int16 go if they are wanted.
typedef struct {
    uint8_t *quad, *pairs;
    size_t pitch;
} chain_place;

// Writes a quad; goes on to the next one.
OCTET_INLINE void chain_store_quad(chain_place *to, __m256i quad, const bool paired) {
    _mm256_storeu_si256((__m256i *)to->quad, quad);
    to->quad += to->pitch;
    if (!paired) return;
    _mm256_storeu_si256((__m256i *)to->pairs, _mm256_and_si256(quad, _mm256_set1_epi16(255)));
    _mm256_storeu_si256((__m256i *)(to->pairs + to->pitch), _mm256_srli_epi16(quad, 8));
    to->pairs += 2 * to->pitch;
}

// Eight windows. What is left of a row behind its full quads goes into the quad that it shares.
OCTET_INLINE void chain_quads_of_rows(chain_place to, const chain_window w, const uint8_t *from, size_t row_pitch,
                                      size_t from_pitch, const bool paired) {
    const __m256i kept = _mm256_set1_epi32((1 << 8 * w.rest) - 1);
    __m256i shared = kept;
    chain_place place = to;
    size_t sharing = 0;
    for (size_t row = 0; row < w.rows; row++, from += row_pitch) {
        __m256i made[4];
        for (size_t i = 0; i < w.full + (w.rest > 0); i++) {
            if (i % 4 == 0) chain_quads_of_8(made, from + 4 * i, from_pitch);
            if (i < w.full) chain_store_quad(&to, made[i % 4], paired);
        }
        if (!w.rest) continue;
        const __m256i bytes = _mm256_and_si256(made[w.full % 4], kept);
        if (sharing == 0) {
            place = to;
            to.quad += to.pitch;
            if (paired) to.pairs += 2 * to.pitch;
            shared = bytes;
        } else {
            shared = _mm256_or_si256(shared, _mm256_slli_epi32(bytes, (int)(8 * w.rest * sharing)));
        }
        if (++sharing == w.share || row + 1 == w.rows) {
            chain_store_quad(&place, shared, paired);
            sharing = 0;
        }
    }
}

OCTET_INLINE void chain_rows_to_panel(uint8_t *panel, const octet_chain_layout *l, const chain_window w,
                                      const uint8_t *from, size_t row_pitch, size_t from_pitch, size_t count,
                                      const bool paired) {
    enum { eight_pitch = 4 * LANES, most = octet_chain_most_quads };
    _Static_assert(3 * octet_chain_most_paired <= most, "paired panels have three rows for each quad");
    if (count < LANES) {
        uint8_t eight[most * eight_pitch];
        const chain_place to = {eight, eight + l->quads * eight_pitch, eight_pitch};
        chain_quads_of_rows(to, w, from, row_pitch, from_pitch, paired);
        for (size_t k = 0; k < (paired ? 3 : 1) * l->quads; k++)
            memcpy(panel + k * octet_chain_pitch, eight + k * eight_pitch, 4 * count);
        return;
    }
    for (size_t pixel = 0; pixel < count; pixel += LANES) {
        // The last pixels once more together with those before them.
        const size_t first = octet_smaller(pixel, count - LANES);
        uint8_t *quad = panel + 4 * first;
        const chain_place to = {quad, quad + l->quads * octet_chain_pitch, octet_chain_pitch};
        chain_quads_of_rows(to, w, from + first * from_pitch, row_pitch, from_pitch, paired);
    }
}

// The first layers that there are have loops of their own: 3×3, 5×5 and 7×7 kernels over RGB, 3×3 and 5×5 over gray.
#define CHAIN_WINDOWS(STAMP) \
    STAMP(3, 2, 1, true)     \
    STAMP(5, 3, 3, false)    \
    STAMP(7, 5, 1, false)    \
    STAMP(3, 0, 3, true)     \
    STAMP(5, 1, 1, true)
static void chain_rows_to_quads(uint8_t *panel, const octet_chain_layout *l, const uint8_t *from, size_t row_pitch,
                                size_t from_pitch, size_t rows, size_t count) {
#define STAMP(r, f, b, paired)                                                        \
    if (rows == (r) && l->row_full == (f) && l->row_rest == (b)) {                    \
        const chain_window w = {r, f, b, 4 / (b)};                                    \
        chain_rows_to_panel(panel, l, w, from, row_pitch, from_pitch, count, paired); \
        return;                                                                       \
    }
    CHAIN_WINDOWS(STAMP)
#undef STAMP
    const chain_window w = {rows, l->row_full, l->row_rest, l->row_share};
    chain_rows_to_panel(panel, l, w, from, row_pitch, from_pitch, count, l->paired);
}
#undef CHAIN_WINDOWS

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
