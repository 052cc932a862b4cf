// GEMM and convolution, of bytes and of floats: one way of running them, four sets of parameters.
#include "../epilogue.h"
#include "../window.h"

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
} convolution;

static bool is_float(const octet_kind *kind) { return octet_parameter_index(kind, "weights") < 0; }

// MARK: - Shapes

static octet_conv_shape gemm_shape(const octet_kind *kind, const int64_t *values) {
    const size_t m = octet_size(kind, values, "m");
    return (octet_conv_shape){
        .in_h = m,
        .in_w = 1,
        .in_c = octet_size(kind, values, "k"),
        .out_h = m,
        .out_w = 1,
        .out_c = octet_size(kind, values, "n"),
        .kernel_h = 1,
        .kernel_w = 1,
        .stride_h = 1,
        .stride_w = 1,
        .dilation_h = 1,
        .dilation_w = 1,
        .groups = 1,
    };
}

static octet_conv_shape convolution_shape(const octet_kind *kind, const int64_t *values) {
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
    s.out_h = octet_outputs(s.in_h, s.kernel_h, s.stride_h, s.dilation_h, SIZE("pad_top"), SIZE("extra_h"));
    s.out_w = octet_outputs(s.in_w, s.kernel_w, s.stride_w, s.dilation_w, SIZE("pad_left"), SIZE("extra_w"));
#undef SIZE
    return s;
}

static octet_conv_shape shape_of(const octet_kind *kind, const int64_t *values) {
    return octet_parameter_index(kind, "m") >= 0 ? gemm_shape(kind, values) : convolution_shape(kind, values);
}
static size_t batch_of(const octet_kind *kind, const int64_t *values) {
    return octet_parameter_index(kind, "batch") >= 0 ? octet_size(kind, values, "batch") : 1;
}

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    const octet_conv_shape shape = shape_of(kind, values);
    const size_t depth = shape.groups ? shape.in_c / shape.groups * shape.kernel_h * shape.kernel_w : 0;
    if (!is_float(kind) && octet_value(kind, values, "weight_zero") && depth > 1 << 14) return "sums overflow int32";
    return octet_conv_refusal(&shape, batch_of(kind, values), !is_float(kind));
}

static octet_work work(const octet_kind *kind, const int64_t *values) {
    const octet_conv_shape shape = shape_of(kind, values);
    const size_t size = is_float(kind) ? sizeof(float) : 1;
    const bool bytes = !is_float(kind) && octet_value(kind, values, "output") == OCTET_OUTPUT_UINT8;
    return octet_convolution_work(&shape, batch_of(kind, values), size, bytes ? 1 : 4);
}

// MARK: - A problem

static void make(octet_problem *p) {
    convolution *c = p->state;
    octet_random random = octet_random_of(p);
    c->shape = shape_of(p->kind, p->values);
    c->batch = batch_of(p->kind, p->values);
    const octet_conv_shape *s = &c->shape;
    const size_t depth = s->in_c / s->groups * s->kernel_h * s->kernel_w;
    const size_t in = c->batch * s->in_h * s->in_w * s->in_c, out = c->batch * s->out_h * s->out_w * s->out_c;
    if (is_float(p->kind)) {
        float *input = octet_add_input(p, octet_f32, in), *weights = octet_add_input(p, octet_f32, s->out_c * depth);
        octet_random_floats(&random, input, in, -1, 1);
        octet_random_floats(&random, weights, s->out_c * depth, -1, 1);
        c->input = input;
        c->weights = weights;
        c->data = octet_float_epilogue_make(p, &random, s->out_c, depth, out);
    } else {
        uint8_t *input = octet_add_input(p, octet_u8, in);
        int8_t *weights = octet_add_input(p, octet_s8, s->out_c * depth);
        octet_fill_activations(&random, octet_get(p, "activations"), input, in);
        octet_fill_weights(&random, octet_get(p, "weights"), weights, s->out_c, depth);
        c->input = input;
        c->weights = weights;
        c->input_zero = (uint8_t)octet_get(p, "input_zero");
        c->data = octet_integer_epilogue_make(p, &random, s->out_c, depth, out);
    }
}

static void expect(octet_problem *p) {
    const convolution *c = p->state;
    if (is_float(p->kind)) {
        octet_naive_float_convolution(p, &c->data, &c->shape, c->batch, c->input, c->weights);
    } else {
        octet_naive_convolution(p, &c->data, &c->shape, c->batch, c->input, c->input_zero, c->weights);
    }
}

static size_t prepare(octet_problem *p) {
    convolution *c = p->state;
    const octet_gemm_family *family = c->family = is_float(p->kind) ? &p->isa->float32 : &p->isa->int8;
    const octet_conv_shape *s = &c->shape;
    const size_t padded = octet_conv_padded_channels(family, s);
    void *packed = octet_add_packed(p, octet_conv_packed_size(family, s), octet_cache_line_size);
    int32_t *sums = is_float(p->kind) ? NULL : octet_add_packed(p, padded * sizeof *sums, sizeof *sums);
    octet_conv_pack(family, s, c->weights, packed, sums);
    c->packed = packed;
    c->epilogue = octet_epilogue_pack(p, &c->data, padded, s->groups, sums, c->input_zero);
    c->output = octet_data(p, c->data.output);
    p->scratch_size = octet_conv_scratch_size(family, s);
    return octet_conv_tasks(family, s, c->batch, p->threads);
}

static void run(octet_problem *p, size_t first, size_t last, void *scratch) {
    const convolution *c = p->state;
    octet_conv_run(c->family, &c->shape, c->batch, c->input, c->input_zero, c->packed, &c->epilogue, c->output,
                   p->parts, first, last, scratch);
}

// MARK: - Kinds

// From one element to beyond two tiles of every instruction set, and around every edge in between.
#define GEMM_PARAMETERS                                                                                                \
    OCTET_CROSSED("m", 1, 1 << 24, 128, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, \
                  23, 24, 25, 26, 27, 28, 29, 63, 64, 65),                                                             \
        OCTET_CROSSED("n", 1, 1 << 20, 256, 1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 127, 129),         \
        OCTET_CROSSED("k", 1, 65793, 256, 1, 2, 3, 4, 5, 7, 8, 9, 17, 31, 64, 67, 127, 385)
#define CONV_PARAMETERS                                                                                           \
    OCTET_NUMBER("batch", 1, 1 << 16, 1, 1, 1, 1, 2, 3),                                                          \
        OCTET_NUMBER("in_h", 1, 1 << 16, 28, 1, 2, 3, 5, 6, 7, 8, 9, 12, 15),                                     \
        OCTET_NUMBER("in_w", 1, 1 << 16, 28, 1, 2, 3, 4, 5, 7, 8, 9, 13, 19),                                     \
        OCTET_CROSSED("in_c", 1, 1 << 16, 64, 1, 2, 3, 4, 5, 8, 15, 16, 19, 33),                                  \
        OCTET_NUMBER("out_c", 1, 1 << 16, 64, 1, 2, 3, 5, 8, 15, 16, 17, 24, 32, 33, 35, 38, 50, 64, 66),         \
        OCTET_CROSSED("kernel_h", 1, 64, 3, 1, 2, 3, 5, 7), OCTET_NUMBER("kernel_w", 1, 64, 3, 1, 2, 3, 3, 5, 7), \
        OCTET_CROSSED("stride_h", 1, 64, 1, 1, 2, 3), OCTET_NUMBER("stride_w", 1, 64, 1, 1, 1, 2, 3),             \
        OCTET_NUMBER("dilation_h", 1, 64, 1, 1, 1, 2, 3), OCTET_NUMBER("dilation_w", 1, 64, 1, 1, 1, 1, 2, 3),    \
        OCTET_CROSSED("pad_top", 0, 64, 1, 0, 1, 2), OCTET_NUMBER("pad_left", 0, 64, 1, 0, 1, 2, 3),              \
        OCTET_NUMBER("extra_h", 0, 64, 0, 0, 0, 0, 1, 3), OCTET_NUMBER("extra_w", 0, 64, 0, 0, 0, 0, 1, 5),       \
        OCTET_NUMBER("groups", 1, 1 << 16, 1, 1, 1, 1, 1, 2, 3, 4, 5, 8)

#define CONVOLUTION_KIND(symbol, name_, is_exact, list, draws_, some_cases) \
    const octet_kind octet_kind_##symbol = {                                \
        .name = name_,                                                      \
        .parameters = list,                                                 \
        .parameter_count = OCTET_COUNT(list),                               \
        .draws = draws_,                                                    \
        .cases = some_cases,                                                \
        .exact = is_exact,                                                  \
        .refusal = refusal,                                                 \
        .work = work,                                                       \
        .state_size = sizeof(convolution),                                  \
        .make = make,                                                       \
        .expect = expect,                                                   \
        .prepare = prepare,                                                 \
        .run = run,                                                         \
    };

static const octet_parameter gemm[] = {OCTET_COMMON_PARAMETERS, GEMM_PARAMETERS, OCTET_INTEGER_EPILOGUE,
                                       OCTET_WEIGHT_ZERO};
static const octet_parameter float_gemm[] = {OCTET_COMMON_PARAMETERS, GEMM_PARAMETERS, OCTET_FLOAT_EPILOGUE};
static const octet_parameter conv[] = {OCTET_COMMON_PARAMETERS, CONV_PARAMETERS, OCTET_INTEGER_EPILOGUE,
                                       OCTET_WEIGHT_ZERO};
static const octet_parameter float_conv[] = {OCTET_COMMON_PARAMETERS, CONV_PARAMETERS, OCTET_FLOAT_EPILOGUE};

static const char *const gemm_cases[] = {
    // Extremes, at depths from one step to the largest there is.
    "m=15 n=33 k=1 output=int32 activations=all255 weights=low input_zero=0",
    "m=15 n=33 k=64 output=int32 activations=all255 weights=low input_zero=0",
    "m=15 n=33 k=1000 output=int32 activations=all255 weights=low input_zero=0",
    "m=3 n=17 k=65793 output=int32 activations=all255 weights=low input_zero=0 scales=half",
    "m=3 n=17 k=65793 output=int32 activations=all255 weights=high input_zero=0 scales=half",
    "m=3 n=17 k=65793 output=int32 activations=all0 weights=low input_zero=255 scales=half",
    "m=9 n=16 k=65793 output=int32 activations=ends weights=extremes scales=half",
    "m=15 n=33 k=1000 output=int32 activations=all255 weights=high",
    "m=15 n=33 k=1000 output=int32 activations=alternating weights=alternating input_zero=0",
    "m=64 n=64 k=1000 activations=ends weights=extremes",
    // Ties of the rounding, with even and odd zero points.
    "m=33 n=65 k=3 activations=small weights=small scales=half input_zero=0 clamp=odd",
    "m=33 n=65 k=3 activations=small weights=small scales=half input_zero=0 clamp=signed",
    "m=33 n=48 k=2 activations=small weights=small scales=half input_zero=1 clamp=odd residual=yes",
    // Beyond the range of int32 on both sides, with and without a promise that cannot be made.
    "m=20 n=40 k=9 scales=huge",
    "m=20 n=40 k=9 scales=huge promise=yes clamp=odd",
    "m=20 n=40 k=9 promise=yes",
    "m=20 n=37 k=300 promise=yes clamp=odd",
    "m=50 n=100 k=300 weight_zero=yes",
    "m=1 n=100 k=300 weight_zero=yes input_zero=255 output=int32",
    // Several strips, blocks of weights, blocks of panels.
    "m=1 n=130 k=40 threads=8",
    "m=5 n=300 k=64 threads=3 output=int32",
    "m=100 n=20 k=30 threads=8",
    "m=2 n=16 k=9 threads=2",
    "m=40 n=70 k=4096 threads=2 output=int32",
    "m=40 n=70 k=4096 weights=full memory=front",
    "m=700 n=9 k=600 threads=3",
    "m=129 n=257 k=771 weights=hollow threads=2 residual=yes",
    "m=1 n=1024 k=1024",
    "m=8 n=512 k=1024 output=float32",
    "m=3136 n=64 k=147 threads=2",
    "m=128 n=192 k=768 weights=uniform threads=2",
    NULL,
};
static const char *const float_gemm_cases[] = {"m=130 n=300 k=600 threads=3", "m=1 n=1000 k=513", "m=40 n=48 k=256",
                                               NULL};
static const char *const conv_cases[] = {
    "in_h=64 in_w=160 in_c=33 out_c=4 threads=3 output=int32",
    "in_h=40 in_w=40 in_c=130 out_c=5 stride_h=2 stride_w=2 pad_top=0 pad_left=0 threads=3",
    "in_h=3 in_w=3 in_c=257 out_c=300 threads=2",
    "in_h=64 in_w=64 out_c=3 kernel_h=1 kernel_w=1 pad_top=0 pad_left=0 input_zero=200",
    "in_h=80 in_w=81 in_c=40 out_c=6 stride_h=3 stride_w=2 dilation_h=2 dilation_w=2 pad_top=2 pad_left=2 groups=2",
    "in_h=30 in_w=160 in_c=64 out_c=16 residual=yes",
    "in_h=5 in_w=5 in_c=50 out_c=300",
    "in_h=64 in_w=65 in_c=3 out_c=32 stride_h=2 stride_w=2 threads=2",
    "in_h=56 in_w=57 in_c=3 out_c=64 kernel_h=7 kernel_w=7 stride_h=2 stride_w=2 pad_top=3 pad_left=3",
    "in_h=28 in_w=28 in_c=1 out_c=32",
    "in_h=7 in_w=7 in_c=512 out_c=40 threads=2",
    "in_h=1 in_w=300 in_c=20 out_c=33 kernel_h=1 kernel_w=9 pad_top=0 pad_left=4 stride_w=2 output=float32",
    // First layers: quads of kernel rows, with rests of rows that share one; 126 of them, and one too many.
    "in_h=14 in_w=21 in_c=3 out_c=24 kernel_h=5 kernel_w=5 pad_top=2 pad_left=2",
    "in_h=14 in_w=21 in_c=1 out_c=24 kernel_h=5 kernel_w=5 weights=hollow",
    "in_h=14 in_w=22 in_c=1 out_c=24 kernel_h=5 kernel_w=5 weights=uniform",
    "in_h=14 in_w=21 in_c=2 out_c=17 residual=yes",
    "in_h=12 in_w=8 in_c=3 out_c=16 kernel_h=4 kernel_w=5 pad_top=0 pad_left=0",
    "in_h=12 in_w=20 in_c=2 out_c=16 kernel_h=3 kernel_w=2 pad_top=0 pad_left=0",
    "in_h=40 in_w=20 in_c=1 out_c=16 kernel_h=16 kernel_w=1 pad_top=0 pad_left=0",
    "in_h=12 in_w=40 in_c=3 out_c=16 kernel_h=7 kernel_w=24 pad_top=0 pad_left=0",
    "in_h=12 in_w=40 in_c=3 out_c=16 kernel_h=8 kernel_w=21 pad_top=0 pad_left=0",
    "in_h=24 in_w=9 in_c=3 out_c=16 dilation_h=2 stride_w=2",
    // Chains that read the weights of panels: several blocks, groups, rests of quads, every output.
    "in_h=7 in_w=7 in_c=512 out_c=96",
    "in_h=7 in_w=8 in_c=300 out_c=140 output=int32 threads=2",
    "in_h=6 in_w=9 in_c=1022 out_c=400 kernel_h=1 kernel_w=1 pad_top=0 pad_left=0 residual=yes threads=2",
    "in_h=6 in_w=12 in_c=520 out_c=320 dilation_w=2 groups=2 output=float32",
    "in_h=5 in_w=5 in_c=512 out_c=96 weights=hollow",
    // Strips of several small images, with pixels that are left over, rows of quads, and a stride.
    "batch=5 in_h=6 in_w=7 in_c=32 out_c=20 pad_top=0 pad_left=0",
    "batch=11 in_h=5 in_w=7 in_c=32 out_c=40 residual=yes",
    "batch=40 in_h=4 in_w=4 in_c=1 out_c=32 input_zero=77",
    "batch=9 in_h=9 in_w=10 in_c=20 out_c=17 stride_h=2 stride_w=2 threads=3 input_zero=77",
    "batch=33 in_h=4 in_w=6 in_c=24 out_c=16 groups=2 output=int32",
    "batch=3 in_h=7 in_w=7 in_c=512 out_c=96",
    // Few rows, from several images and columns.
    "batch=3 in_h=1 in_w=1 in_c=19 out_c=66 kernel_h=1 kernel_w=1 pad_top=0 pad_left=0 residual=yes",
    "in_h=1 in_w=2 in_c=3 out_c=130 kernel_h=1 kernel_w=1 pad_top=0 pad_left=0 output=int32",
    "batch=3 in_h=1 in_w=2 in_c=257 out_c=40 kernel_h=1 kernel_w=1 pad_top=0 pad_left=0",
    // Windows that lie beside the image.
    "in_h=4 in_w=5 in_c=8 out_c=17 kernel_h=1 kernel_w=1 pad_top=3 pad_left=2 input_zero=9",
    "in_h=2 in_w=2 in_c=5 out_c=9 kernel_h=2 kernel_w=3 dilation_h=5 dilation_w=4 pad_top=6 pad_left=9 extra_h=7",
    NULL,
};

CONVOLUTION_KIND(gemm, "gemm", true, gemm, 1, gemm_cases)
CONVOLUTION_KIND(float_gemm, "float-gemm", false, float_gemm, 1, float_gemm_cases)
CONVOLUTION_KIND(conv, "conv", true, conv, 4, conv_cases)
CONVOLUTION_KIND(float_conv, "float-conv", false, float_conv, 2, NULL)
