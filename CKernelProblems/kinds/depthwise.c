// Depthwise convolution of bytes and of floats.
#include "../epilogue.h"
#include "../window.h"

typedef struct {
    octet_window window;
    octet_conv_shape shape;  // the same thing as a convolution with one group for each channel
    size_t batch;
    const void *input, *weights;
    uint8_t input_zero;
    octet_epilogue_data data;
    const void *packed;
    octet_epilogue epilogue;
    void *output;
} depthwise;

static bool is_float(const octet_kind *kind) { return octet_parameter_index(kind, "weights") < 0; }

static octet_conv_shape as_convolution(const octet_window *w) {
    return (octet_conv_shape){
        .in_h = w->in_h,
        .in_w = w->in_w,
        .in_c = w->channels,
        .out_h = w->out_h,
        .out_w = w->out_w,
        .out_c = w->channels,
        .kernel_h = w->kernel_h,
        .kernel_w = w->kernel_w,
        .stride_h = w->stride_h,
        .stride_w = w->stride_w,
        .dilation_h = w->dilation_h,
        .dilation_w = w->dilation_w,
        .pad_top = w->pad_top,
        .pad_left = w->pad_left,
        .groups = w->channels,
    };
}

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    const octet_window window = octet_window_of(kind, values);
    return octet_window_refusal(&window, octet_size(kind, values, "batch"));
}

static octet_work work(const octet_kind *kind, const int64_t *values) {
    const octet_window window = octet_window_of(kind, values);
    const octet_conv_shape shape = as_convolution(&window);
    const bool bytes = !is_float(kind) && octet_value(kind, values, "output") == OCTET_OUTPUT_UINT8;
    return octet_convolution_work(&shape, octet_size(kind, values, "batch"), is_float(kind) ? sizeof(float) : 1,
                                  bytes ? 1 : 4);
}

static void make(octet_problem *p) {
    depthwise *d = p->state;
    octet_random random = octet_random_of(p);
    d->window = octet_window_of(p->kind, p->values);
    d->shape = as_convolution(&d->window);
    d->batch = (size_t)octet_get(p, "batch");
    const octet_window *w = &d->window;
    const size_t taps = w->kernel_h * w->kernel_w, count = w->channels * taps;
    const size_t in = octet_window_inputs(w, d->batch), out = octet_window_outputs(w, d->batch);
    if (is_float(p->kind)) {
        float *input = octet_add_input(p, octet_f32, in), *weights = octet_add_input(p, octet_f32, count);
        octet_random_floats(&random, input, in, -1, 1);
        octet_random_floats(&random, weights, count, -1, 1);
        d->input = input;
        d->weights = weights;
        d->data = octet_float_epilogue_make(p, &random, w->channels, taps, out);
    } else {
        uint8_t *input = octet_add_input(p, octet_u8, in);
        int8_t *weights = octet_add_input(p, octet_s8, count);
        octet_fill_activations(&random, octet_get(p, "activations"), input, in);
        octet_fill_weights(&random, octet_get(p, "weights"), weights, w->channels, taps);
        d->input = input;
        d->weights = weights;
        d->input_zero = (uint8_t)octet_get(p, "input_zero");
        d->data = octet_integer_epilogue_make(p, &random, w->channels, taps, out);
    }
}

static void expect(octet_problem *p) {
    const depthwise *d = p->state;
    if (is_float(p->kind)) {
        octet_naive_float_convolution(p, &d->data, &d->shape, d->batch, d->input, d->weights);
    } else {
        octet_naive_convolution(p, &d->data, &d->shape, d->batch, d->input, d->input_zero, d->weights);
    }
}

static size_t prepare(octet_problem *p) {
    depthwise *d = p->state;
    const octet_window *w = &d->window;
    const size_t taps = w->kernel_h * w->kernel_w;
    int32_t *sums = NULL;
    if (is_float(p->kind)) {
        float *packed = octet_add_packed(p, w->channels * taps * sizeof *packed, sizeof *packed);
        octet_depthwise_pack_f32(d->weights, w->channels, taps, packed);
        d->packed = packed;
    } else {
        const size_t size = octet_depthwise_packed_size(&p->isa->depthwise, w->channels, w->kernel_h, w->kernel_w);
        void *packed = octet_add_packed(p, size, octet_cache_line_size);
        sums = octet_add_packed(p, w->channels * sizeof *sums, sizeof *sums);
        octet_depthwise_pack_s8(&p->isa->depthwise, d->weights, w->channels, w->kernel_h, w->kernel_w, packed, sums);
        d->packed = packed;
    }
    d->epilogue = octet_epilogue_pack(p, &d->data, w->channels, 1, sums, d->input_zero);
    d->output = octet_data(p, d->data.output);
    return octet_parts(d->batch * w->out_h, p->threads);
}

static void run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const depthwise *d = p->state;
    const size_t rows = d->batch * d->window.out_h;
    const size_t from = octet_share(rows, first, p->parts), to = octet_share(rows, last, p->parts);
    if (is_float(p->kind)) {
        p->isa->depthwise_f32(&d->window, d->input, d->packed, &d->epilogue, d->output, from, to);
    } else {
        p->isa->depthwise_u8(&d->window, d->input, d->input_zero, d->packed, &d->epilogue, d->output, from, to);
    }
}

static const octet_parameter integers[] = {OCTET_COMMON_PARAMETERS, OCTET_WINDOW_PARAMETERS, OCTET_INTEGER_EPILOGUE};
static const octet_parameter floats[] = {OCTET_COMMON_PARAMETERS, OCTET_WINDOW_PARAMETERS, OCTET_FLOAT_EPILOGUE};
static const char *const integer_cases[] = {
    "in_h=56 in_w=56 channels=144",
    "in_h=57 in_w=61 channels=96 stride_h=2 stride_w=2 threads=3",
    "in_h=14 in_w=14 channels=576 residual=yes",
    "in_h=28 in_w=28 channels=200 kernel_h=5 kernel_w=5 pad_top=2 pad_left=2 stride_h=2 stride_w=2",
    "in_h=1 in_w=500 channels=40 kernel_h=1 kernel_w=31 pad_top=0 pad_left=15",
    "in_h=3 in_w=4 channels=20 kernel_h=1 kernel_w=1 pad_top=2 pad_left=3",
    // Windows that slide along a row: kernels, strides, paddings; rows shorter than a window, of an odd length, longer
    // than a strip; channels that fill a vector, or a part of it, or overlap; several images, and rows to several
    // threads.
    "in_h=5 in_w=7 channels=64 promise=yes",
    "in_h=6 in_w=6 channels=64 promise=yes clamp=odd",
    "in_h=9 in_w=130 channels=80 promise=yes input_zero=200",
    "in_h=7 in_w=133 channels=33 promise=yes stride_h=2 stride_w=2 clamp=relu",
    "in_h=13 in_w=12 channels=16 promise=yes batch=3 threads=4",
    "in_h=4 in_w=1 channels=48 promise=yes activations=all255 weights=low",
    "in_h=1 in_w=2 channels=31 promise=yes stride_h=2 stride_w=2",
    "in_h=11 in_w=10 channels=100 promise=yes pad_top=0 pad_left=0 clamp=odd",
    "in_h=9 in_w=9 channels=70 promise=yes pad_top=2 pad_left=2 extra_h=2 extra_w=2",
    "in_h=8 in_w=131 channels=65 kernel_h=5 kernel_w=5 pad_top=2 pad_left=2 promise=yes",
    "in_h=10 in_w=71 channels=37 kernel_h=5 kernel_w=5 pad_top=2 pad_left=2 promise=yes batch=2 threads=3",
    "in_h=15 in_w=134 channels=24 kernel_h=5 kernel_w=5 pad_top=2 pad_left=2 stride_h=2 stride_w=2 promise=yes "
    "clamp=odd",
    "in_h=3 in_w=2 channels=160 kernel_h=5 kernel_w=5 pad_top=4 pad_left=4 promise=yes weights=alternating",
    "in_h=5 in_w=6 channels=130 kernel_h=5 kernel_w=5 stride_h=2 stride_w=2 pad_top=1 pad_left=1 promise=yes",
    "in_h=40 in_w=64 channels=128 promise=yes threads=2",
    NULL,
};
static const char *const float_cases[] = {
    "in_h=28 in_w=28 channels=200 kernel_h=5 kernel_w=5 pad_top=2 pad_left=2 stride_h=2 stride_w=2",
    "in_h=1 in_w=500 channels=40 kernel_h=1 kernel_w=31 pad_top=0 pad_left=15",
    "in_h=3 in_w=4 channels=20 kernel_h=1 kernel_w=1 pad_top=2 pad_left=3",
    NULL,
};

const octet_kind octet_kind_depthwise = {
    .name = "depthwise",
    .parameters = integers,
    .parameter_count = OCTET_COUNT(integers),
    .cases = integer_cases,
    .exact = true,
    .refusal = refusal,
    .work = work,
    .state_size = sizeof(depthwise),
    .make = make,
    .expect = expect,
    .prepare = prepare,
    .run = run,
};

const octet_kind octet_kind_float_depthwise = {
    .name = "float-depthwise",
    .parameters = floats,
    .parameter_count = OCTET_COUNT(floats),
    .cases = float_cases,
    .refusal = refusal,
    .work = work,
    .state_size = sizeof(depthwise),
    .make = make,
    .expect = expect,
    .prepare = prepare,
    .run = run,
};
