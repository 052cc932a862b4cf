// GEMM without a plan and without a loop nest: one tile for each block of panels.
#include <string.h>

#include "conv_plan.h"

enum { most_rows = 8 };

bool octet_conv_has_few_rows(const octet_gemm_family *family, const octet_conv_shape *s, size_t batch,
                             const octet_epilogue *epilogue) {
    return octet_conv_is_pixelwise(s) && batch * s->in_h * s->in_w <= octet_smaller(family->wide_mr, most_rows) &&
           !epilogue->weight_zero;
}

void octet_conv_run_few_rows(const octet_gemm_family *family, const octet_conv_shape *s, size_t batch,
                             const char *input, const char *packed, const octet_epilogue *epilogue, char *output,
                             char *scratch) {
    static const size_t no_offset = 0;
    const size_t rows = batch * s->in_h * s->in_w;
    const size_t steps = octet_divide_up(s->in_c, family->kr), row_size = s->in_c * family->source_size;
    const char *from = input, *row[most_rows];
    size_t pitch = row_size;
    if (family->stored_size != family->source_size || s->in_c < family->kr) {
        family->store(scratch, input, rows * s->in_c);
        from = scratch, pitch = s->in_c * family->stored_size;
    }
    for (size_t i = 0; i < rows; i++) row[i] = from + i * pitch;
    // The end of its last step reads beyond it.
    if (from == input && steps * family->kr != s->in_c) {
        memcpy(scratch, row[rows - 1], row_size);
        row[rows - 1] = scratch;
    }
    octet_tile tile = {
        .rows = rows,
        .row = row,
        .tap_offsets = &no_offset,
        .taps = 1,
        .steps = steps,
        .panel_stride = octet_conv_panel_size(family, steps),
        .epilogue = epilogue,
        .output_stride = s->out_c,
    };
    const size_t panels = octet_divide_up(s->out_c, family->nr), width = family->wide_panels;
    const size_t output_size = epilogue->output == OCTET_OUTPUT_UINT8 && family->source_size == 1 ? 1 : 4;
    for (size_t panel = 0; panel < panels; panel += width) {
        tile.channel = panel * family->nr;
        tile.panels = octet_smaller(width, panels - panel);
        tile.weights = packed + panel * tile.panel_stride;
        tile.channels = octet_smaller(tile.panels * family->nr, s->out_c - tile.channel);
        tile.output = output + tile.channel * output_size;
        if (epilogue->residual) tile.residual = (const char *)epilogue->residual + tile.channel * family->source_size;
        family->tile(&tile);
    }
}
