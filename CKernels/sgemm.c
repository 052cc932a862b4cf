// Float matrix products of any layout, on the same tiles as convolution: b is packed into panels block by block, rows
// of a are read where they lie or copied, and every block of k after the first adds to c.
#include <math.h>
#include <string.h>

#include "internal.h"

enum {
    block_k = 384,
    block_n = 384,  // block_k · block_n floats of b stay in the second-level cache
    block_m = 112,  // and so do the rows of a that are copied
    // Copied rows lie a cache line further apart than a power of two, else they compete for the same lines of the
    // cache.
    row_gap = 16,
    aliasing_row = 256,
    most_tile_rows = 32,
    cache_line = 64,
};

typedef struct {
    size_t k, n, m;  // of a block
    size_t panel_bytes, rows_bytes, bias_bytes;
} sgemm_blocks;

static sgemm_blocks blocks_for(const octet_gemm_family *family, size_t m, size_t n, size_t k) {
    sgemm_blocks b = {
        .k = octet_smaller(k, block_k),
        .n = octet_round_up(octet_smaller(n, block_n), family->nr),
        .m = octet_round_up(octet_smaller(m, block_m), family->mr),
    };
    b.bias_bytes = octet_round_up(b.n * sizeof(float), cache_line);
    b.panel_bytes = octet_round_up(b.n * b.k * sizeof(float), cache_line);
    b.rows_bytes = octet_round_up(b.m * (b.k + row_gap) * sizeof(float), cache_line);
    return b;
}

size_t octet_sgemm_scratch_size(const octet_gemm_family *family, size_t m, size_t n, size_t k) {
    const sgemm_blocks b = blocks_for(family, m, n, k);
    return b.bias_bytes + b.panel_bytes + b.rows_bytes;
}

// [k, n] through strides → panels [k][nr], missing columns filled with zeros.
static void pack_columns(float *to, const float *b, size_t row, size_t column, size_t k, size_t n, size_t nr) {
    for (size_t first = 0; first < n; first += nr, to += k * nr) {
        const float *from = b + first * column;
        const size_t count = octet_smaller(nr, n - first);
        if (count < nr) memset(to, 0, k * nr * sizeof *to);
        if (column == 1) {
            for (size_t i = 0; i < k; i++) memcpy(to + i * nr, from + i * row, count * sizeof *to);
        } else {
            for (size_t j = 0; j < count; j++)
                for (size_t i = 0; i < k; i++) to[i * nr + j] = from[j * column + i * row];
        }
    }
}

static void copy_rows(float *to, size_t pitch, const float *a, size_t row, size_t column, size_t m, size_t k) {
    if (column == 1) {
        for (size_t i = 0; i < m; i++) memcpy(to + i * pitch, a + i * row, k * sizeof *to);
        return;
    }
    // A few columns at a time, so that both the lines read and the lines written are used up while they are in the
    // cache.
    for (size_t first = 0; first < k; first += row_gap) {
        const size_t last = octet_smaller(first + row_gap, k);
        for (size_t i = 0; i < m; i++)
            for (size_t j = first; j < last; j++) to[i * pitch + j] = a[i * row + j * column];
    }
}

// c[m, n] (+)= rows · panels, for one block.
static void run_block(const octet_gemm_family *family, size_t m, size_t n, size_t k, const float *rows, size_t pitch,
                      const float *panels, const octet_epilogue *epilogue, float *c, size_t ldc) {
    const char *row[most_tile_rows];
    const size_t offset = 0;
    const size_t width = m <= family->wide_mr ? family->wide_panels : family->panels;
    const size_t count = octet_divide_up(n, family->nr), tiles = octet_divide_up(m, family->mr);
    octet_tile tile = {
        .row = row,
        .tap_offsets = &offset,
        .taps = 1,
        .steps = k,
        .panel_stride = k * family->nr * sizeof(float),
        .epilogue = epilogue,
        .output_stride = ldc,
    };
    for (size_t i = 0; i < tiles; i++) {
        const size_t first = m * i / tiles;
        tile.rows = m * (i + 1) / tiles - first;
        for (size_t r = 0; r < tile.rows; r++) row[r] = (const char *)(rows + (first + r) * pitch);
        for (size_t panel = 0; panel < count; panel += width) {
            tile.panels = octet_smaller(width, count - panel);
            tile.weights = (const char *)(panels + panel * k * family->nr);
            tile.channels = octet_smaller(tile.panels * family->nr, n - panel * family->nr);
            tile.output = c + first * ldc + panel * family->nr;
            tile.residual = epilogue->residual ? tile.output : NULL;
            family->tile(&tile);
        }
    }
}

void octet_sgemm(const octet_gemm_family *family, size_t m, size_t n, size_t k, const float *a, size_t a_row,
                 size_t a_column, const float *b, size_t b_row, size_t b_column, float *c, size_t ldc, bool accumulate,
                 void *scratch) {
    if (k == 0) {
        for (size_t i = 0; i < m && !accumulate; i++) memset(c + i * ldc, 0, n * sizeof *c);
        return;
    }
    const sgemm_blocks blocks = blocks_for(family, m, n, k);
    float *bias = scratch;
    float *panels = (float *)((char *)scratch + blocks.bias_bytes);
    float *copies = (float *)((char *)panels + blocks.panel_bytes);
    memset(bias, 0, blocks.bias_bytes);
    const bool direct = a_column == 1 && a_row % aliasing_row != 0;
    octet_epilogue epilogue = {.output = OCTET_OUTPUT_FLOAT32, .bias = bias, .lower = -INFINITY, .upper = INFINITY};

    for (size_t j = 0; j < n; j += blocks.n) {
        const size_t columns = octet_smaller(blocks.n, n - j);
        for (size_t l = 0; l < k; l += blocks.k) {
            const size_t depth = octet_smaller(blocks.k, k - l);
            pack_columns(panels, b + l * b_row + j * b_column, b_row, b_column, depth, columns, family->nr);
            epilogue.residual = accumulate || l > 0 ? c : NULL;
            for (size_t i = 0; i < m; i += blocks.m) {
                const size_t count = octet_smaller(blocks.m, m - i);
                const float *rows = a + i * a_row + l * a_column;
                size_t pitch = a_row;
                if (!direct) {
                    pitch = depth + row_gap;
                    copy_rows(copies, pitch, rows, a_row, a_column, count, depth);
                    rows = copies;
                }
                run_block(family, count, columns, depth, rows, pitch, panels, &epilogue, c + i * ldc + j, ldc);
            }
        }
    }
}
