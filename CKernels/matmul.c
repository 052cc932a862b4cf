// Products of two matrices of activations. What takes the place of weights is there only when it is multiplied: blocks
// of its columns are packed, and all rows pass over them, a tile at a time.
#include <math.h>
#include <string.h>

#include "conv_plan.h"

enum {
    // Packed columns that stay in the second-level cache while rows pass over them.
    block_bytes = 128 << 10,
    // Rows of so few steps leave the end of a tile as long as the rest of it.
    short_steps = 64,
    most_tile_rows = 32,
    most_nr = 16,
    most_kr = 16,
    cache_line = 64,
};

// Sizes of a block, and where things lie in scratch.
typedef struct {
    size_t steps, panel_size, panels, tile_rows;
    bool stored;       // rows of a are copied
    size_t row_pitch;  // bytes
    size_t initial, scale, bias, sums, packed, rows, size;
} matmul_plan;

static matmul_plan plan_of(const octet_gemm_family *family, const octet_matmul *p) {
    matmul_plan plan = {.steps = octet_divide_up(p->k, family->kr)};
    plan.panel_size = octet_conv_panel_size(family, plan.steps);
    const size_t width = family->wide_panels, fitting = octet_quotient(block_bytes / plan.panel_size, width) * width;
    plan.panels = octet_smaller(octet_larger(fitting, width), octet_divide_up(p->n, family->nr));
    plan.tile_rows = plan.steps < short_steps ? family->short_mr : family->mr;
    plan.stored = family->stored_size != family->source_size || plan.steps * family->kr != p->k;
    plan.row_pitch = octet_round_up(plan.steps * family->kr * family->stored_size, cache_line);
    // Rows a multiple of a page apart compete for the same lines of the first-level cache.
    if (plan.row_pitch % 2048 == 0) plan.row_pitch += cache_line;
    const size_t array = octet_round_up(plan.panels * family->nr * sizeof(int32_t), cache_line);
    plan.scale = plan.initial + array;
    plan.bias = plan.scale + array;
    plan.sums = plan.bias + array;
    plan.packed = plan.sums + array;
    plan.rows = plan.packed + octet_round_up(plan.panels * plan.panel_size, cache_line);
    plan.size = plan.rows + (plan.stored ? plan.tile_rows * plan.row_pitch : 0);
    return plan;
}

size_t octet_matmul_scratch_size(const octet_gemm_family *family, const octet_matmul *p) {
    return plan_of(family, p).size;
}

// MARK: - Columns

// A step: kr rows of nr columns, `pitch` bytes apart. Bytes less 128 are signed.
static inline __attribute__((always_inline)) void pack_step(uint8_t *restrict to, const uint8_t *restrict from,
                                                            size_t pitch, const size_t nr, const size_t kr,
                                                            const bool interleaved) {
    if (kr == 4) {
        const uint8_t *second = from + (interleaved ? 2 : 1) * pitch, *third = from + (interleaved ? 1 : 2) * pitch;
        for (size_t i = 0; i < nr; i++) {
            to[4 * i] = from[i] ^ 128;
            to[4 * i + 1] = second[i] ^ 128;
            to[4 * i + 2] = third[i] ^ 128;
            to[4 * i + 3] = from[3 * pitch + i] ^ 128;
        }
        return;
    }
    for (size_t e = 0; e < kr; e++)
        for (size_t i = 0; i < nr; i++) to[i * kr + e] = from[e * pitch + i] ^ 128;
}

static inline __attribute__((always_inline)) void pack_steps(uint8_t *to, const uint8_t *from, size_t pitch,
                                                             size_t count, const size_t nr, const size_t kr,
                                                             const bool interleaved) {
    for (size_t step = 0; step < count; step++)
        pack_step(to + step * nr * kr, from + step * kr * pitch, pitch, nr, kr, interleaved);
}

// Whole steps of a whole panel; with numbers that are constants, compilers make vectors of them.
static void pack_panel(const octet_gemm_family *family, uint8_t *to, const uint8_t *from, size_t pitch, size_t count) {
    const size_t nr = family->nr, kr = family->kr;
    if (kr == 4 && nr == 8 && family->interleaved) {
        pack_steps(to, from, pitch, count, 8, 4, true);
    } else if (kr == 4 && nr == 8) {
        pack_steps(to, from, pitch, count, 8, 4, false);
    } else if (kr == 4 && nr == 16) {
        pack_steps(to, from, pitch, count, 16, 4, false);
    } else {
        pack_steps(to, from, pitch, count, nr, kr, false);
    }
}

// What tiles that see signed activations take from the sums of a panel's channels (octet_gemm_family.shifts).
static void write_header(const octet_gemm_family *family, const uint8_t *weights, size_t steps, int32_t *header) {
    for (size_t i = 0; i < family->nr; i++) {
        header[i] = 0;
        for (size_t step = 0; step < steps; step++)
            for (size_t e = 0; e < family->kr; e++)
                header[i] +=
                    family->shifts[e * 2 / family->kr] * (int8_t)weights[(step * family->nr + i) * family->kr + e];
    }
}

// Columns [k, count] of b, n bytes from row to row, into panels; what is missing at the ends is 0.
static void pack_columns(const octet_gemm_family *family, const matmul_plan *plan, const octet_matmul *p,
                         const uint8_t *b, size_t count, char *packed) {
    const size_t nr = family->nr, kr = family->kr, step_size = nr * kr, header_size = octet_conv_header_size(family);
    uint8_t end[most_kr * most_nr];
    for (size_t first = 0; first < count; first += nr, packed += plan->panel_size) {
        uint8_t *to = (uint8_t *)packed + header_size;
        const size_t columns = octet_smaller(nr, count - first);
        const size_t whole = columns == nr ? octet_quotient(p->k, kr) : 0;
        pack_panel(family, to, b + first, p->n, whole);
        for (size_t step = whole; step < plan->steps; step++) {
            const uint8_t *from = b + step * kr * p->n + first;
            const size_t rows = octet_smaller(kr, p->k - step * kr);
            memset(end, 128, step_size);
            for (size_t e = 0; e < rows; e++) memcpy(end + e * nr, from + e * p->n, columns);
            pack_panel(family, to + step * step_size, end, nr, 1);
        }
        if (header_size && !family->magnitudes) write_header(family, to, plan->steps, (int32_t *)packed);
    }
}

// Σ b of each column.
static void sum_columns(const octet_matmul *p, const uint8_t *b, size_t count, int32_t *restrict sums) {
    memset(sums, 0, count * sizeof *sums);
    size_t row = 0;
    for (; row + 4 <= p->k; row += 4) {
        const uint8_t *r0 = b + row * p->n, *r1 = r0 + p->n, *r2 = r1 + p->n, *r3 = r2 + p->n;
        for (size_t i = 0; i < count; i++) sums[i] += (uint16_t)(r0[i] + r1[i] + r2[i] + r3[i]);
    }
    for (; row < p->k; row++)
        for (size_t i = 0; i < count; i++) sums[i] += b[row * p->n + i];
}

// MARK: - Rows

// Makes rows readable for a tile, and finds what zero points of b add to their sums.
static void lay_out(const octet_gemm_family *family, const matmul_plan *plan, const octet_matmul *p, const uint8_t *a,
                    size_t count, const char **row, int32_t *shifts, char *scratch) {
    for (size_t i = 0; i < count; i++, a += p->k) {
        row[i] = (const char *)a;
        if (plan->stored) {
            row[i] = scratch + i * plan->row_pitch;
            family->store(scratch + i * plan->row_pitch, a, p->k);
        }
        uint32_t sum = 0;
        if (p->b_zero != 128)
            for (size_t j = 0; j < p->k; j++) sum += a[j];
        shifts[i] = (128 - p->b_zero) * (int32_t)sum;
    }
}

void octet_matmul_run(const octet_gemm_family *family, const octet_matmul *p, const uint8_t *a, const uint8_t *b,
                      uint8_t *output, void *scratch) {
    const matmul_plan plan = plan_of(family, p);
    char *memory = scratch;
    int32_t *initial = (int32_t *)(memory + plan.initial), *sums = (int32_t *)(memory + plan.sums);
    float *scale = (float *)(memory + plan.scale), *bias = (float *)(memory + plan.bias);
    char *packed = memory + plan.packed;
    for (size_t i = 0; i < plan.panels * family->nr; i++) scale[i] = p->scale, bias[i] = 0;
    const double most = 255.0 * 255.0 * (double)p->k * fabs((double)p->scale);
    const octet_epilogue epilogue = {
        .output = OCTET_OUTPUT_UINT8,
        .initial = initial,
        .scale = scale,
        .bias = bias,
        .lower = p->lower,
        .upper = p->upper,
        .zero = p->zero,
        .fits_int32 = most < 0x1p30,
    };
    const size_t no_offset = 0;
    const char *row[most_tile_rows];
    int32_t shifts[most_tile_rows];
    octet_tile tile = {
        .row = row,
        .tap_offsets = &no_offset,
        .taps = 1,
        .steps = plan.steps,
        .panel_stride = plan.panel_size,
        .epilogue = &epilogue,
        .output_stride = p->n,
        .row_shifts = p->b_zero != 128 ? shifts : NULL,
    };
    // Tiles of heights that differ by one at most.
    const size_t tiles = octet_divide_up(p->m, plan.tile_rows);
    const size_t height = octet_quotient(p->m, tiles), taller = p->m - height * tiles;
    const size_t width = height + (taller > 0) <= family->wide_mr ? family->wide_panels : family->panels;
    const size_t block = plan.panels * family->nr;
    for (size_t first = 0; first < p->n; first += block) {
        const size_t columns = octet_smaller(block, p->n - first), panels = octet_divide_up(columns, family->nr);
        pack_columns(family, &plan, p, b + first, columns, packed);
        sum_columns(p, b + first, columns, sums);
        for (size_t i = 0; i < panels * family->nr; i++)
            initial[i] = i < columns ? -p->a_zero * (sums[i] - (int32_t)p->k * p->b_zero) : 0;
        for (size_t i = 0, line = 0; i < tiles; i++, line += tile.rows) {
            tile.rows = height + (i < taller);
            lay_out(family, &plan, p, a + line * p->k, tile.rows, row, shifts, memory + plan.rows);
            for (size_t panel = 0; panel < panels; panel += width) {
                tile.channel = panel * family->nr;
                tile.panels = octet_smaller(width, panels - panel);
                tile.weights = packed + panel * plan.panel_size + octet_conv_tile_start(family);
                tile.channels = octet_smaller(tile.panels * family->nr, columns - tile.channel);
                tile.output = output + line * p->n + first + tile.channel;
                family->tile(&tile);
            }
        }
    }
}
