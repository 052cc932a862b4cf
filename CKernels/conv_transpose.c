// Transposed convolution as stride_h · stride_w convolutions of stride 1. Output pixels whose places have the same
// remainder modulo the stride (a phase) use the same taps of the kernel, and neighbours among them read neighbouring
// inputs.
#include <string.h>

#include "conv_plan.h"

// One axis of a phase: tap first + j · step of the kernel, j counting down, is tap count − 1 − j of a convolution.
typedef struct {
    size_t outputs;  // of this phase
    size_t first, step, count;
    size_t dilation;
    ptrdiff_t pad;
} phase_axis;

typedef struct {
    phase_axis y, x;
    size_t place_y, place_x;  // of its first output pixel
    bool empty;               // no tap reaches these outputs: one of weight 0 stands for them
    octet_conv_shape shape;
} phase;

static phase_axis axis_at(size_t place, size_t out, size_t kernel, size_t stride, size_t dilation, ptrdiff_t pad) {
    phase_axis axis = {.outputs = place < out ? (out - place - 1) / stride + 1 : 0, .step = 1, .dilation = 1};
    size_t last = 0;
    for (size_t k = 0; k < kernel; k++) {
        if (((ptrdiff_t)place + pad - (ptrdiff_t)(k * dilation)) % (ptrdiff_t)stride) continue;
        if (axis.count == 0) axis.first = k;
        if (axis.count == 1) axis.step = k - axis.first;
        axis.count++;
        last = k;
    }
    if (axis.count == 0) return axis;
    if (axis.count > 1) axis.dilation = axis.step * dilation / stride;
    // Output pixel 0 reads input −pad with the last tap.
    axis.pad = ((ptrdiff_t)(last * dilation) - (ptrdiff_t)place - pad) / (ptrdiff_t)stride;
    return axis;
}

static phase phase_at(const octet_conv_shape *s, size_t index) {
    phase p = {.place_y = index / s->stride_w, .place_x = index % s->stride_w};
    p.y = axis_at(p.place_y, s->out_h, s->kernel_h, s->stride_h, s->dilation_h, s->pad_top);
    p.x = axis_at(p.place_x, s->out_w, s->kernel_w, s->stride_w, s->dilation_w, s->pad_left);
    p.empty = p.y.count == 0 || p.x.count == 0;
    p.shape = (octet_conv_shape){
        .in_h = s->in_h,
        .in_w = s->in_w,
        .in_c = s->in_c,
        .out_h = p.y.outputs,
        .out_w = p.x.outputs,
        .out_c = s->out_c,
        .kernel_h = p.empty ? 1 : p.y.count,
        .kernel_w = p.empty ? 1 : p.x.count,
        .stride_h = 1,
        .stride_w = 1,
        .dilation_h = p.empty ? 1 : p.y.dilation,
        .dilation_w = p.empty ? 1 : p.x.dilation,
        .pad_top = p.empty ? 0 : p.y.pad,
        .pad_left = p.empty ? 0 : p.x.pad,
        .groups = s->groups,
    };
    return p;
}

static octet_conv_plan plan_of(const octet_gemm_family *family, const octet_conv_shape *s, const phase *p,
                               size_t batch) {
    octet_conv_plan plan = octet_conv_plan_make_unfolded(family, &p->shape, batch);
    plan.output_pixel = s->stride_w * s->out_c;
    plan.output_line = s->stride_h * s->out_w * s->out_c;
    plan.output_image = s->out_h * s->out_w * s->out_c;
    return plan;
}

size_t octet_conv_transpose_phases(const octet_conv_shape *shape) { return shape->stride_h * shape->stride_w; }

static size_t packed_size(const octet_gemm_family *family, const phase *p) {
    return octet_round_up(octet_conv_packed_size(family, &p->shape), 64);
}

size_t octet_conv_transpose_packed_size(const octet_gemm_family *family, const octet_conv_shape *shape) {
    size_t size = 0;
    for (size_t i = 0; i < octet_conv_transpose_phases(shape); i++) {
        const phase p = phase_at(shape, i);
        size += packed_size(family, &p);
    }
    return size;
}

// The weights of a phase as those of a convolution, [out_c, in_c / groups, taps_y, taps_x], taps reversed.
static void reorder(const octet_conv_shape *s, const phase *p, const char *weights, size_t size, char *to) {
    const size_t inputs = s->in_c / s->groups, outputs = s->out_c / s->groups, kernel = s->kernel_h * s->kernel_w;
    for (size_t channel = 0; channel < s->out_c; channel++)
        for (size_t i = 0; i < inputs; i++) {
            const size_t input = channel / outputs * inputs + i;
            const char *from = weights + (input * outputs + channel % outputs) * kernel * size;
            for (size_t y = p->y.count; y-- > 0;)
                for (size_t x = p->x.count; x-- > 0; to += size) {
                    const size_t tap = (p->y.first + y * p->y.step) * s->kernel_w + p->x.first + x * p->x.step;
                    memcpy(to, from + tap * size, size);
                }
        }
}

void octet_conv_transpose_pack(const octet_gemm_family *family, const octet_conv_shape *shape, const void *weights,
                               void *reordered, void *packed, int32_t *sums) {
    char *to = packed;
    for (size_t i = 0; i < octet_conv_transpose_phases(shape); i++) {
        const phase p = phase_at(shape, i);
        if (p.empty) {
            memset(reordered, 0, shape->out_c * (shape->in_c / shape->groups) * family->weight_size);
        } else {
            reorder(shape, &p, weights, family->weight_size, reordered);
        }
        octet_conv_pack(family, &p.shape, reordered, to, sums);
        to += packed_size(family, &p);
        if (sums) sums += octet_conv_padded_channels(family, shape);
    }
}

size_t octet_conv_transpose_scratch_size(const octet_gemm_family *family, const octet_conv_shape *shape) {
    size_t size = 0;
    for (size_t i = 0; i < octet_conv_transpose_phases(shape); i++) {
        const phase p = phase_at(shape, i);
        const octet_conv_plan plan = plan_of(family, shape, &p, 1);
        size = octet_larger(size, octet_conv_plan_scratch_size(&plan));
    }
    return size;
}

size_t octet_conv_transpose_tasks(const octet_gemm_family *family, const octet_conv_shape *shape, size_t batch,
                                  size_t threads) {
    size_t tasks = 0;
    for (size_t i = 0; i < octet_conv_transpose_phases(shape); i++) {
        const phase p = phase_at(shape, i);
        const octet_conv_plan plan = plan_of(family, shape, &p, batch);
        tasks += octet_conv_plan_tasks(&plan, threads);
    }
    return tasks;
}

void octet_conv_transpose_run(const octet_gemm_family *family, const octet_conv_shape *shape, size_t batch,
                              const void *input, uint8_t input_zero, const void *packed, const octet_epilogue *epilogue,
                              void *output, size_t threads, size_t first, size_t last, void *scratch) {
    const size_t output_size = epilogue->output == OCTET_OUTPUT_UINT8 && family->source_size == 1 ? 1 : 4;
    const size_t channels = octet_conv_padded_channels(family, shape);
    const char *weights = packed;
    size_t start = 0;  // of this phase's tasks
    for (size_t i = 0; i < octet_conv_transpose_phases(shape); i++) {
        const phase p = phase_at(shape, i);
        const octet_conv_plan plan = plan_of(family, shape, &p, batch);
        const size_t tasks = octet_conv_plan_tasks(&plan, threads);
        const size_t from = octet_larger(first, start), to = octet_smaller(last, start + tasks);
        if (from < to) {
            const size_t place = (p.place_y * shape->out_w + p.place_x) * shape->out_c;
            octet_epilogue e = *epilogue;
            if (e.initial) e.initial += i * channels;
            if (e.residual) e.residual = (const char *)e.residual + place * family->source_size;
            octet_conv_plan_run(&plan, input, input_zero, weights, &e, (char *)output + place * output_size, tasks,
                                from - start, to - start, scratch);
        }
        start += tasks;
        weights += packed_size(family, &p);
    }
}
