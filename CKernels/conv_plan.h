// The arithmetic of a convolution that does not touch data: how it becomes runs of k, panels and strips.
#ifndef OCTET_CONV_PLAN_H
#define OCTET_CONV_PLAN_H

#include "internal.h"

typedef struct {
    const octet_gemm_family *family;
    // With batch · h · w folded into one column of pixels where nothing else depends on it. Here padding may be
    // negative: the image is cropped.
    octet_conv_shape shape;
    size_t images;

    // Weights. Depends on channels, kernel, dilation and groups only, so that they are packed once for every size.
    bool gathered;  // one run is a whole window, brought together from its rows
    bool merged;    // a run is a whole kernel row, contiguous in memory, instead of one tap
    size_t group_inputs, group_outputs, group_panels;
    size_t taps;         // runs
    size_t run_length;   // elements of a run that exist
    size_t steps;        // of kr elements, in a run
    size_t header_size;  // bytes in front of a panel's weights
    size_t tile_start;   // bytes of a panel in front of where the weights of its tiles start
    size_t panel_size;   // bytes of a packed panel
    size_t tile_rows;    // of the tallest tile

    // Activations, as a tile reads them: a strip of input rows (or of windows) in scratch, or the tensor itself.
    bool copied;
    bool by_magnitudes;             // tiles are octet_magnitudes_kernel's, unless weights have zero points
    bool last_copied;               // only the last pixel of all is
    size_t pixel_pitch, row_pitch;  // bytes from one pixel and row of the strip to the next
    size_t pixel_step, line_step;   // bytes from what one output pixel and row reads to what the next one does
    size_t strip_rows;              // output rows of the tallest strip

    // Elements from one output pixel, row and image to the next.
    size_t output_pixel, output_line, output_image;
} octet_conv_plan;

// A 1×1 convolution maps pixels to pixels, whatever image they are in: all of them make one image of width 1.
bool octet_conv_is_pixelwise(const octet_conv_shape *);

octet_conv_plan octet_conv_plan_make(const octet_gemm_family *, const octet_conv_shape *, size_t batch);

// The same, but images stay what they are.
octet_conv_plan octet_conv_plan_make_unfolded(const octet_gemm_family *, const octet_conv_shape *, size_t batch);

// Bytes in front of a panel's weights, and of a panel that has so many steps in all its runs together.
static inline size_t octet_conv_header_size(const octet_gemm_family *family) {
    return family->shifts[0] ? family->nr * sizeof(int32_t) : 0;
}
static inline size_t octet_conv_panel_size(const octet_gemm_family *family, size_t steps) {
    return octet_conv_header_size(family) + steps * family->kr * family->nr * family->weight_size;
}

// (Tiles of magnitudes find what stands in front of their weights by themselves; others do without it.)
static inline size_t octet_conv_tile_start(const octet_gemm_family *family) {
    return family->magnitudes ? octet_conv_header_size(family) : 0;
}

// Input rows that `rows` output rows reach.
static inline size_t octet_conv_input_rows(const octet_conv_shape *shape, size_t rows) {
    return (rows - 1) * shape->stride_h + (shape->kernel_h - 1) * shape->dilation_h + 1;
}
// Input pixels that a row of outputs reaches.
static inline size_t octet_conv_input_columns(const octet_conv_shape *shape) {
    return (shape->out_w - 1) * shape->stride_w + (shape->kernel_w - 1) * shape->dilation_w + 1;
}

// Bytes of the longest row of a window that is gathered, and the most rows.
enum { octet_longest_gathered_row = 16 };

// Bytes of scratch in front of the strip, and of the whole.
size_t octet_conv_offsets_size(const octet_conv_plan *);
size_t octet_conv_strip_size(const octet_conv_plan *);
// Where in the strip of a plan by magnitudes the shifts of its rows stand.
size_t octet_conv_shifts_place(const octet_conv_plan *);
size_t octet_conv_plan_scratch_size(const octet_conv_plan *);

// Into how many tasks all images are split for `threads` threads.
size_t octet_conv_plan_tasks(const octet_conv_plan *, size_t threads);
// Tasks first ..< last, as octet_conv_run.
void octet_conv_plan_run(const octet_conv_plan *, const void *input, uint8_t input_zero, const void *packed,
                         const octet_epilogue *, void *output, size_t tasks, size_t first, size_t last, void *scratch);

// So few rows that every tile takes them all, and fewer than chains would: making a plan can take longer than the
// product. Tasks are blocks of panels.
bool octet_conv_has_few_rows(const octet_gemm_family *, const octet_conv_shape *, size_t batch, const octet_epilogue *);
void octet_conv_run_few_rows(const octet_gemm_family *, const octet_conv_shape *, size_t batch, const char *input,
                             const char *packed, const octet_epilogue *, char *output, size_t tasks, size_t first,
                             size_t last, char *scratch);

// How tasks divide the work: strips of each image, times blocks of panels. Both follow from the number of tasks alone.
typedef struct {
    size_t strips, blocks;
} octet_conv_split;

octet_conv_split octet_conv_split_make(const octet_conv_plan *, size_t tasks);
// Output rows of a strip of one image.
typedef struct {
    size_t first, last;
} octet_conv_rows;
octet_conv_rows octet_conv_strip(const octet_conv_plan *, size_t strips, size_t strip);

#endif
