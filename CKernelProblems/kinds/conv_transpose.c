// Transposed convolution, of bytes and of floats.
#include "../epilogue.h"

typedef struct {
    octet_conv_shape shape;
    size_t batch;
    const octet_gemm_family *family;
    const void *input, *weights;
    uint8_t input_zero;
    octet_epilogue_data data;
    const void *packed;
    octet_epilogue epilogue;
    void *output;
} transposed;

static bool is_float(const octet_kind *kind) { return octet_parameter_index(kind, "weights") < 0; }

// What is left of an axis when `pad` is cut off at both ends, and `extra` added; 0 if nothing is.
static size_t outputs(size_t in, size_t kernel, size_t stride, size_t dilation, size_t pad, size_t extra) {
    const size_t full = (in - 1) * stride + (kernel - 1) * dilation + 1 + extra;
    return full > 2 * pad ? full - 2 * pad : 0;
}

static octet_conv_shape shape_of(const octet_kind *kind, const int64_t *values) {
#define SIZE(name) octet_size(kind, values, name)
    octet_conv_shape s = {
        .in_h = SIZE("in_h"),
        .in_w = SIZE("in_w"),
        .in_c = SIZE("in_c"),
        .out_c = SIZE("out_c"),
        .kernel_h = SIZE("kernel_h"),
        .kernel_w = SIZE("kernel_w"),
        .stride_h = SIZE("stride_h"),
        .stride_w = SIZE("stride_w"),
        .dilation_h = SIZE("dilation_h"),
        .dilation_w = SIZE("dilation_w"),
        .pad_top = (ptrdiff_t)SIZE("pad_top"),
        .pad_left = (ptrdiff_t)SIZE("pad_left"),
        .groups = SIZE("groups"),
    };
    s.out_h = outputs(s.in_h, s.kernel_h, s.stride_h, s.dilation_h, SIZE("pad_top"), SIZE("extra_h"));
    s.out_w = outputs(s.in_w, s.kernel_w, s.stride_w, s.dilation_w, SIZE("pad_left"), SIZE("extra_w"));
#undef SIZE
    return s;
}

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    const octet_conv_shape shape = shape_of(kind, values);
    return octet_conv_transpose_refusal(&shape, octet_size(kind, values, "batch"), !is_float(kind));
}

static octet_work work(const octet_kind *kind, const int64_t *values) {
    const octet_conv_shape s = shape_of(kind, values);
    const double batch = (double)octet_size(kind, values, "batch"), size = is_float(kind) ? 4 : 1;
    const double depth = (double)(s.out_c / s.groups * s.kernel_h * s.kernel_w);
    const double in = batch * (double)(s.in_h * s.in_w * s.in_c), out = batch * (double)(s.out_h * s.out_w * s.out_c);
    return (octet_work){.macs = in * depth, .bytes = (in + out + (double)s.in_c * depth) * size, .outputs = out};
}

static size_t depth_of(const octet_conv_shape *s) { return s->in_c / s->groups * s->kernel_h * s->kernel_w; }

static void make(octet_problem *p) {
    transposed *t = p->state;
    octet_random random = octet_random_of(p);
    t->shape = shape_of(p->kind, p->values);
    t->batch = (size_t)octet_get(p, "batch");
    const octet_conv_shape *s = &t->shape;
    const size_t channel = s->out_c / s->groups * s->kernel_h * s->kernel_w;
    const size_t in = t->batch * s->in_h * s->in_w * s->in_c, out = t->batch * s->out_h * s->out_w * s->out_c;
    if (is_float(p->kind)) {
        float *input = octet_add_input(p, octet_f32, in), *weights = octet_add_input(p, octet_f32, s->in_c * channel);
        octet_random_floats(&random, input, in, -1, 1);
        octet_random_floats(&random, weights, s->in_c * channel, -1, 1);
        t->input = input;
        t->weights = weights;
        t->data = octet_float_epilogue_make(p, &random, s->out_c, depth_of(s), out);
    } else {
        uint8_t *input = octet_add_input(p, octet_u8, in);
        int8_t *weights = octet_add_input(p, octet_s8, s->in_c * channel);
        octet_fill_activations(&random, octet_get(p, "activations"), input, in);
        octet_fill_weights(&random, octet_get(p, "weights"), weights, s->in_c, channel);
        t->input = input;
        t->weights = weights;
        t->input_zero = (uint8_t)octet_get(p, "input_zero");
        t->data = octet_integer_epilogue_make(p, &random, s->out_c, depth_of(s), out);
    }
}

// Input `*in` and tap `k` meet in output `out`.
static bool meets(size_t out, size_t k, size_t in_size, size_t stride, size_t dilation, ptrdiff_t pad, size_t *in) {
    const ptrdiff_t place = (ptrdiff_t)out + pad - (ptrdiff_t)(k * dilation);
    *in = (size_t)place / stride;
    return place >= 0 && (size_t)place % stride == 0 && *in < in_size;
}

#define NAIVE(input_type, weight_type, type, finish)                                                              \
    for (size_t i = 0; i < t->batch * s->out_h * s->out_w * s->out_c; i++) {                                      \
        const size_t channel = i % s->out_c, x = i / s->out_c % s->out_w, y = i / s->out_c / s->out_w % s->out_h; \
        const size_t image = i / s->out_c / s->out_w / s->out_h, group = channel / outputs;                       \
        type sum = 0;                                                                                             \
        size_t row, column;                                                                                       \
        for (size_t ky = 0; ky < s->kernel_h; ky++) {                                                             \
            if (!meets(y, ky, s->in_h, s->stride_h, s->dilation_h, s->pad_top, &row)) continue;                   \
            for (size_t kx = 0; kx < s->kernel_w; kx++) {                                                         \
                if (!meets(x, kx, s->in_w, s->stride_w, s->dilation_w, s->pad_left, &column)) continue;           \
                const size_t pixel = (image * s->in_h + row) * s->in_w + column;                                  \
                for (size_t c = group * inputs; c < (group + 1) * inputs; c++) {                                  \
                    const size_t k = ((c * outputs + channel % outputs) * s->kernel_h + ky) * s->kernel_w + kx;   \
                    sum += (type)(((const input_type *)t->input)[pixel * s->in_c + c] - (input_type)zero) *       \
                           (type)((const weight_type *)t->weights)[k];                                            \
                }                                                                                                 \
            }                                                                                                     \
        }                                                                                                         \
        finish(p, &t->data, i, sum);                                                                              \
    }

static void expect(octet_problem *p) {
    const transposed *t = p->state;
    const octet_conv_shape *s = &t->shape;
    const size_t inputs = s->in_c / s->groups, outputs = s->out_c / s->groups;
    const int32_t zero = t->input_zero;
    if (is_float(p->kind)) {
        NAIVE(float, float, double, octet_float_finish)
    } else {
        NAIVE(uint8_t, int8_t, int64_t, octet_integer_finish)
    }
}

static size_t prepare(octet_problem *p) {
    transposed *t = p->state;
    const octet_gemm_family *family = t->family = is_float(p->kind) ? &p->isa->float32 : &p->isa->int8;
    const octet_conv_shape *s = &t->shape;
    const size_t padded = octet_conv_padded_channels(family, s), phases = octet_conv_transpose_phases(s);
    void *packed = octet_add_packed(p, octet_conv_transpose_packed_size(family, s), octet_cache_line_size);
    void *reordered = octet_add_packed(
        p, s->in_c * (s->out_c / s->groups) * s->kernel_h * s->kernel_w * family->weight_size, family->weight_size);
    int32_t *sums = is_float(p->kind) ? NULL : octet_add_packed(p, phases * padded * sizeof *sums, sizeof *sums);
    octet_conv_transpose_pack(family, s, t->weights, reordered, packed, sums);
    t->packed = packed;
    t->epilogue = octet_epilogue_pack(p, &t->data, padded, s->groups, sums, t->input_zero);
    if (sums) {
        int32_t *initial = octet_add_packed(p, phases * padded * sizeof *initial, sizeof *initial);
        for (size_t i = 0; i < phases * padded; i++)
            initial[i] = t->epilogue.initial[i % padded] + t->input_zero * (sums[i % padded] - sums[i]);
        t->epilogue.initial = initial;
    }
    t->output = octet_data(p, t->data.output);
    p->scratch_size = octet_conv_transpose_scratch_size(family, s);
    return octet_conv_transpose_tasks(family, s, t->batch, p->threads);
}

static void run(octet_problem *p, size_t first, size_t last, void *scratch) {
    const transposed *t = p->state;
    octet_conv_transpose_run(t->family, &t->shape, t->batch, t->input, t->input_zero, t->packed, &t->epilogue,
                             t->output, p->threads, first, last, scratch);
}

#define PARAMETERS                                                                                             \
    OCTET_NUMBER("batch", 1, 1 << 16, 1, 1, 1, 2, 3), OCTET_NUMBER("in_h", 1, 1 << 16, 28, 1, 2, 3, 5, 7, 8),  \
        OCTET_NUMBER("in_w", 1, 1 << 16, 28, 1, 2, 4, 5, 9, 13),                                               \
        OCTET_CROSSED("in_c", 1, 1 << 16, 64, 1, 3, 4, 8, 15, 33),                                             \
        OCTET_NUMBER("out_c", 1, 1 << 16, 32, 1, 3, 8, 15, 16, 17, 32, 35),                                    \
        OCTET_CROSSED("kernel_h", 1, 64, 2, 1, 2, 3, 4, 5), OCTET_NUMBER("kernel_w", 1, 64, 2, 1, 2, 3, 4, 5), \
        OCTET_CROSSED("stride_h", 1, 64, 2, 1, 2, 3), OCTET_NUMBER("stride_w", 1, 64, 2, 1, 2, 2, 3, 4),       \
        OCTET_NUMBER("dilation_h", 1, 64, 1, 1, 1, 2, 3), OCTET_NUMBER("dilation_w", 1, 64, 1, 1, 1, 2, 3),    \
        OCTET_CROSSED("pad_top", 0, 64, 0, 0, 1, 2, 4), OCTET_NUMBER("pad_left", 0, 64, 0, 0, 1, 2, 3),        \
        OCTET_NUMBER("extra_h", 0, 64, 0, 0, 0, 1, 2), OCTET_NUMBER("extra_w", 0, 64, 0, 0, 0, 1, 3),          \
        OCTET_NUMBER("groups", 1, 1 << 16, 1, 1, 1, 1, 2, 3)

static const octet_parameter integers[] = {OCTET_COMMON_PARAMETERS, PARAMETERS, OCTET_INTEGER_EPILOGUE};
static const octet_parameter floats[] = {OCTET_COMMON_PARAMETERS, PARAMETERS, OCTET_FLOAT_EPILOGUE};
static const char *const cases[] = {"threads=2", "in_h=56 in_w=56 kernel_h=4 kernel_w=4 pad_top=1 pad_left=1",
                                    "in_h=9 in_w=7 stride_h=1 stride_w=1 kernel_h=3 kernel_w=3 pad_top=1 pad_left=1",
                                    NULL};

#define KIND(symbol, name_, is_exact, list)   \
    const octet_kind octet_kind_##symbol = {  \
        .name = name_,                        \
        .parameters = list,                   \
        .parameter_count = OCTET_COUNT(list), \
        .draws = 2,                           \
        .cases = cases,                       \
        .exact = is_exact,                    \
        .refusal = refusal,                   \
        .work = work,                         \
        .state_size = sizeof(transposed),     \
        .make = make,                         \
        .expect = expect,                     \
        .prepare = prepare,                   \
        .run = run,                           \
    };
KIND(conv_transpose, "conv-transpose", true, integers)
KIND(float_conv_transpose, "float-conv-transpose", false, floats)
