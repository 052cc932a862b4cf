// GEMM without a plan and without a loop nest: one tile for each block of panels.
#include <string.h>

#include "conv_plan.h"

enum {
    most_rows = 8,
    // Fewer activations are widened sooner than split into magnitudes and signs.
    least_magnitudes = 64,
};

static const octet_magnitudes_kernel *magnitudes_of(const octet_gemm_family *family, const octet_conv_shape *s) {
    return s->in_c < least_magnitudes ? NULL : family->magnitudes;
}

bool octet_conv_has_few_rows(const octet_gemm_family *family, const octet_conv_shape *s, size_t batch,
                             const octet_epilogue *epilogue) {
    const size_t most = octet_smaller(magnitudes_of(family, s) ? family->mr : family->wide_mr, most_rows);
    return octet_conv_is_pixelwise(s) && batch * s->in_h * s->in_w <= most && !epilogue->weight_zero;
}

// Makes rows readable for the tile: each in steps of whole size, widened or split where tiles want that.
static void lay_out(const octet_gemm_family *family, const octet_conv_shape *s, octet_tile *tile, const char *input,
                    const char **row, int32_t *shifts, char *scratch) {
    const size_t row_size = s->in_c * family->source_size;
    const char *from = input;
    size_t pitch = row_size;
    const octet_magnitudes_kernel *magnitudes = magnitudes_of(family, s);
    if (magnitudes) {
        from = scratch, pitch = tile->steps * family->kr * family->stored_size;
        for (size_t i = 0; i < tile->rows; i++)
            shifts[i] = magnitudes->store(scratch + i * pitch, input + i * row_size, s->in_c);
    } else if (family->stored_size != family->source_size || s->in_c < family->kr) {
        family->store(scratch, input, tile->rows * s->in_c);
        from = scratch, pitch = s->in_c * family->stored_size;
    }
    for (size_t i = 0; i < tile->rows; i++) row[i] = from + i * pitch;
    // The end of its last step reads beyond it.
    if (from == input && tile->steps * family->kr != s->in_c) {
        memcpy(scratch, row[tile->rows - 1], row_size);
        row[tile->rows - 1] = scratch;
    }
}

void octet_conv_run_few_rows(const octet_gemm_family *family, const octet_conv_shape *s, size_t batch,
                             const char *input, const char *packed, const octet_epilogue *epilogue, char *output,
                             size_t tasks, size_t first, size_t last, char *scratch) {
    static const size_t no_offset = 0;
    const size_t steps = octet_divide_up(s->in_c, family->kr);
    const char *row[most_rows];
    int32_t shifts[most_rows];
    octet_tile tile = {
        .rows = batch * s->in_h * s->in_w,
        .row = row,
        .tap_offsets = &no_offset,
        .taps = 1,
        .steps = steps,
        .panel_stride = octet_conv_panel_size(family, steps),
        .epilogue = epilogue,
        .output_stride = s->out_c,
        .row_shifts = magnitudes_of(family, s) ? shifts : NULL,
    };
    lay_out(family, s, &tile, input, row, shifts, scratch);
    const size_t width = tile.rows > family->wide_mr ? family->panels : family->wide_panels;
    const size_t panels = octet_divide_up(s->out_c, family->nr);
    const size_t output_size = epilogue->output == OCTET_OUTPUT_UINT8 && family->source_size == 1 ? 1 : 4;
    const octet_magnitudes_kernel *magnitudes = magnitudes_of(family, s);
    void (*const run)(const octet_tile *) = magnitudes ? magnitudes->tile : family->tile;
    const size_t start = octet_conv_tile_start(family);
    const size_t end = octet_quotient(panels * last, tasks);
    for (size_t panel = octet_quotient(panels * first, tasks); panel < end; panel += width) {
        tile.channel = panel * family->nr;
        tile.panels = octet_smaller(width, end - panel);
        tile.weights = packed + panel * tile.panel_stride + start;
        tile.channels = octet_smaller(tile.panels * family->nr, s->out_c - tile.channel);
        tile.output = output + tile.channel * output_size;
        if (epilogue->residual) tile.residual = (const char *)epilogue->residual + tile.channel * family->source_size;
        run(&tile);
    }
}
