// Kernels that make every element of the output from the elements at its place.
#include "../kind.h"

// MARK: - What all of them share

enum { first_input, second_input };
typedef struct {
    size_t count;
    int32_t zero, second_zero, out_zero;
    float scale, second_scale, lower, upper;
    uint8_t lowest, highest;  // of a clamp
    bool is_signed;
    size_t output;
    const void *a, *b;
    void *out;
    size_t read_size, written_size;  // of an element
} elementwise;

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    (void)kind, (void)values;
    return NULL;
}

// Reads the parameters that a kind has.
static elementwise *start(octet_problem *p) {
    static const struct {
        float lower, upper;
        int32_t zero;
    } clamps[] = {{0, 255, 0}, {-128, 127, 128}, {-3, 200, 3}, {-200, 55, 200}, {-128, 127, 0}};
    static const float scales[] = {1, 0.5f, 0.37f, 0.1f, 1.5f, 0.013f};
    elementwise *e = p->state;
    e->count = (size_t)octet_get(p, "count");
    if (octet_parameter_index(p->kind, "clamp") >= 0) {
        const int64_t clamp = octet_get(p, "clamp");
        e->lower = clamps[clamp].lower, e->upper = clamps[clamp].upper, e->out_zero = clamps[clamp].zero;
    }
    if (octet_parameter_index(p->kind, "scale") >= 0) e->scale = scales[octet_get(p, "scale")];
    if (octet_parameter_index(p->kind, "second_scale") >= 0) e->second_scale = scales[octet_get(p, "second_scale")];
    if (octet_parameter_index(p->kind, "zero") >= 0) e->zero = (int32_t)octet_get(p, "zero");
    if (octet_parameter_index(p->kind, "second_zero") >= 0) e->second_zero = (int32_t)octet_get(p, "second_zero");
    return e;
}

static void *bytes(octet_problem *p, octet_random *r, size_t count) {
    uint8_t *to = octet_add_input(p, octet_u8, count);
    for (size_t i = 0; i < count; i++) to[i] = (uint8_t)octet_random_next(r);
    return to;
}

// Random ones, ties and what lies just beside them, or with some of everything strange.
static float *floats(octet_problem *p, octet_random *r, size_t count, float scale) {
    static const float strange[] = {
        0,     -0.0f, 0.5f,   1.5f,   2.5f, -0.5f, -1.5f, -2.5f,    126.5f,    127.5f,  254.5f,   255.5f,      1e9f,
        -1e9f, 3e38f, -3e38f, 1e-45f, NAN,  -NAN,  256,   INFINITY, -INFINITY, 0x1p31f, -0x1p31f, 255.499985f,
    };
    enum { random, ties, some_strange };
    const int64_t pattern = octet_get(p, "values");
    float *to = octet_add_input(p, octet_f32, count);
    octet_random_floats(r, to, count, -300, 300);
    for (size_t i = 0; i < count; i++) {
        if (pattern == ties) {
            const float beside = (float)octet_random_between(r, -1, 1) * 6e-8f;
            to[i] = ((float)(i % 512) - 255.5f) * scale * (1 + beside);
        } else if (pattern == some_strange && octet_random_next(r) % 3 == 0) {
            to[i] = strange[octet_random_next(r) % OCTET_COUNT(strange)];
        }
    }
    return to;
}

static void add_output(octet_problem *p, octet_element type) {
    elementwise *e = p->state;
    e->output = p->buffer_count;
    octet_add_output(p, type, e->count, 0);
}

static size_t prepare(octet_problem *p) {
    elementwise *e = p->state;
    e->a = octet_data(p, first_input);
    e->b = octet_data(p, e->output == 2 ? second_input : first_input);
    e->out = octet_data(p, e->output);
    e->read_size = octet_element_size(p->buffers[first_input].type);
    e->written_size = octet_element_size(p->buffers[e->output].type);
    return octet_parts(e->count, p->threads);
}

#define COUNT                                                                                                         \
    OCTET_CROSSED("count", 0, 1 << 30, 1 << 20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, \
                  100, 1000)
#define SCALE(name) OCTET_CHOICE(name, "1", "0.5", "0.37", "0.1", "1.5", "0.013")
#define ZERO(name) OCTET_NUMBER(name, 0, 255, 128, 0, 255, 128, 3)
#define CLAMP OCTET_CHOICE("clamp", "uint8", "int8", "narrow", "low", "signed")
#define VALUES OCTET_CHOICE("values", "random", "ties", "strange")
// Every combination of count and the other parameters would be many; of some parameters all values are tried.
#define CROSSED_CLAMP                                                         \
    {.name = "clamp",                                                         \
     .choices = (const char *[]){"uint8", "int8", "narrow", "low", "signed"}, \
     .high = 4,                                                               \
     .crossed = true,                                                         \
     OCTET_GRID(0, 1, 2, 3, 4)}

// A kind from its parameters; `read` and `written` are bytes for each element.
#define NO_CASES(symbol) static const char *const symbol##_cases[] = {NULL};
#define ELEMENTWISE(symbol, name_, read, written, ...)                                                  \
    static octet_work symbol##_work(const octet_kind *kind, const int64_t *values) {                    \
        const double count = (double)octet_value(kind, values, "count");                                \
        return (octet_work){.bytes = count * ((read) + (written)), .outputs = count};                   \
    }                                                                                                   \
    static const octet_parameter symbol##_parameters[] = {OCTET_COMMON_PARAMETERS, COUNT, __VA_ARGS__}; \
    const octet_kind octet_kind_##symbol = {                                                            \
        .name = name_,                                                                                  \
        .parameters = symbol##_parameters,                                                              \
        .parameter_count = OCTET_COUNT(symbol##_parameters),                                            \
        .draws = 4,                                                                                     \
        .cases = symbol##_cases,                                                                        \
        .exact = true,                                                                                  \
        .refusal = refusal,                                                                             \
        .work = symbol##_work,                                                                          \
        .state_size = sizeof(elementwise),                                                              \
        .make = symbol##_make,                                                                          \
        .expect = symbol##_expect,                                                                      \
        .prepare = prepare,                                                                             \
        .run = symbol##_run,                                                                            \
    };
// Parts first ..< last as a kernel gets them.
typedef struct {
    const void *a, *b;
    void *out;
    size_t count;
} range;
static range range_of(const octet_problem *p, size_t first, size_t last) {
    const elementwise *e = p->state;
    const size_t from = octet_share(e->count, first, p->parts), to = octet_share(e->count, last, p->parts);
    return (range){
        .a = (const char *)e->a + from * e->read_size,
        .b = (const char *)e->b + from * e->read_size,
        .out = (char *)e->out + from * e->written_size,
        .count = to - from,
    };
}
#define RUN(symbol, call)                                                                  \
    static void symbol##_run(octet_problem *p, size_t first, size_t last, void *scratch) { \
        (void)scratch;                                                                     \
        const elementwise *e = p->state;                                                   \
        const range r = range_of(p, first, last);                                          \
        (void)e;                                                                           \
        call;                                                                              \
    }

// MARK: - Between float and bytes

static void quantize_make(octet_problem *p) {
    octet_random random = octet_random_of(p);
    const elementwise *e = start(p);
    floats(p, &random, e->count, e->scale);
    add_output(p, octet_u8);
}
static void quantize_expect(octet_problem *p) {
    const elementwise *e = p->state;
    const float *x = octet_data(p, first_input);
    uint8_t *out = octet_expected(p, e->output);
    for (size_t i = 0; i < e->count; i++)
        out[i] =
            x[i] == x[i] ? octet_requantized(x[i] / e->scale, e->lower, e->upper, e->out_zero) : (uint8_t)e->out_zero;
}
RUN(quantize, p->isa->quantize(r.a, r.count, e->scale, e->out_zero, e->lower, e->upper, r.out))
// Multiplying by the reciprocal gives another byte for some of these ties.
static const char *const quantize_cases[] = {
    "count=1024 values=ties scale=0.1",
    "count=1024 values=ties scale=0.37 seed=2",
    "count=1024 values=ties scale=0.013",
    "count=1024 values=ties scale=1.5",
    "count=1024 values=ties scale=0.1 clamp=int8 seed=3",
    "count=100003 values=strange threads=3",
    NULL,
};
ELEMENTWISE(quantize, "quantize", 4, 1, CROSSED_CLAMP, SCALE("scale"), VALUES)

static void dequantize_make(octet_problem *p) {
    octet_random random = octet_random_of(p);
    elementwise *e = start(p);
    e->is_signed = octet_get(p, "type") == 1;
    bytes(p, &random, e->count);
    add_output(p, octet_f32);
}
static void dequantize_expect(octet_problem *p) {
    const elementwise *e = p->state;
    const uint8_t *q = octet_data(p, first_input);
    float *out = octet_expected(p, e->output);
    for (size_t i = 0; i < e->count; i++) {
        const int32_t byte = e->is_signed ? (int8_t)q[i] : q[i];
        out[i] = (float)(byte - e->zero) * e->scale;
    }
}
RUN(
    dequantize, if (e->is_signed) { p->isa->dequantize_s8(r.a, r.count, e->scale, e->zero, r.out); } else {
        p->isa->dequantize_u8(r.a, r.count, e->scale, e->zero, r.out);
    })
NO_CASES(dequantize)
ELEMENTWISE(dequantize, "dequantize", 1, 4, OCTET_CHOICE("type", "uint8", "int8"), SCALE("scale"),
            OCTET_CROSSED("zero", -128, 255, 0, 0, 77, 255, -128, 5))

// MARK: - Bytes to bytes

static void one_make(octet_problem *p) {
    octet_random random = octet_random_of(p);
    const elementwise *e = start(p);
    bytes(p, &random, e->count);
    add_output(p, octet_u8);
}
static void two_make(octet_problem *p) {
    octet_random random = octet_random_of(p);
    const elementwise *e = start(p);
    bytes(p, &random, e->count);
    bytes(p, &random, e->count);
    add_output(p, octet_u8);
}

#define requantize_make one_make
static void requantize_expect(octet_problem *p) {
    const elementwise *e = p->state;
    const uint8_t *q = octet_data(p, first_input);
    uint8_t *out = octet_expected(p, e->output);
    for (size_t i = 0; i < e->count; i++)
        out[i] = octet_requantized((float)(q[i] - e->zero) * e->scale, e->lower, e->upper, e->out_zero);
}
RUN(requantize, p->isa->requantize_u8(r.a, r.count, e->zero, e->scale, e->out_zero, e->lower, e->upper, r.out))
NO_CASES(requantize)
ELEMENTWISE(requantize, "requantize", 1, 1, CROSSED_CLAMP, SCALE("scale"), ZERO("zero"))

#define add_make two_make
static void add_expect(octet_problem *p) {
    const elementwise *e = p->state;
    const uint8_t *a = octet_data(p, first_input), *b = octet_data(p, second_input);
    uint8_t *out = octet_expected(p, e->output);
    for (size_t i = 0; i < e->count; i++) {
        const float x = (float)(a[i] - e->zero) * e->scale, y = (float)(b[i] - e->second_zero) * e->second_scale;
        out[i] = octet_requantized(x + y, e->lower, e->upper, e->out_zero);
    }
}
RUN(add, p->isa->add_u8(r.a, e->zero, e->scale, r.b, e->second_zero, e->second_scale, r.count, e->out_zero, e->lower,
                        e->upper, r.out))
NO_CASES(add)
ELEMENTWISE(add, "add", 2, 1, CROSSED_CLAMP, SCALE("scale"), SCALE("second_scale"), ZERO("zero"), ZERO("second_zero"))

#define mul_make two_make
static void mul_expect(octet_problem *p) {
    const elementwise *e = p->state;
    const uint8_t *a = octet_data(p, first_input), *b = octet_data(p, second_input);
    uint8_t *out = octet_expected(p, e->output);
    for (size_t i = 0; i < e->count; i++) {
        const int32_t product = (a[i] - e->zero) * (b[i] - e->second_zero);
        out[i] = octet_requantized((float)product * e->scale, e->lower, e->upper, e->out_zero);
    }
}
RUN(mul, p->isa->mul_u8(r.a, e->zero, r.b, e->second_zero, r.count, e->scale, e->out_zero, e->lower, e->upper, r.out))
NO_CASES(mul)
ELEMENTWISE(mul, "mul", 2, 1, CROSSED_CLAMP, SCALE("scale"), ZERO("zero"), ZERO("second_zero"))

static void clamp_make(octet_problem *p) {
    one_make(p);
    elementwise *e = p->state;
    e->lowest = (uint8_t)octet_get(p, "lower");
    e->highest = (uint8_t)octet_get(p, "upper");
}
static void clamp_expect(octet_problem *p) {
    const elementwise *e = p->state;
    const uint8_t *q = octet_data(p, first_input);
    uint8_t *out = octet_expected(p, e->output);
    for (size_t i = 0; i < e->count; i++) out[i] = q[i] < e->lowest ? e->lowest : q[i] > e->highest ? e->highest : q[i];
}
RUN(clamp, p->isa->clamp_u8(r.a, r.count, e->lowest, e->highest, r.out))
NO_CASES(clamp)
ELEMENTWISE(clamp, "clamp", 1, 1, OCTET_CROSSED("lower", 0, 127, 40, 0, 40, 127),
            OCTET_CROSSED("upper", 127, 255, 190, 127, 190, 255))

static void lookup_make(octet_problem *p) {
    octet_random random = octet_random_of(p);
    const elementwise *e = start(p);
    bytes(p, &random, e->count);
    bytes(p, &random, 256);
    add_output(p, octet_u8);
}
static void lookup_expect(octet_problem *p) {
    const elementwise *e = p->state;
    const uint8_t *q = octet_data(p, first_input), *table = octet_data(p, second_input);
    uint8_t *out = octet_expected(p, e->output);
    for (size_t i = 0; i < e->count; i++) out[i] = table[q[i]];
}
RUN(lookup, p->isa->lookup_u8(r.a, r.count, octet_data(p, second_input), r.out))
NO_CASES(lookup)
ELEMENTWISE(lookup, "lookup", 1, 1)

// MARK: - Fake-quantize

static const int32_t ranges[][3] = {
    {0, 255, 128}, {-128, 127, 0}, {0, 200, 3}, {-32768, 32767, -5}};  // low, high, zero
#define RANGE                                                         \
    {.name = "range",                                                 \
     .choices = (const char *[]){"uint8", "int8", "narrow", "int16"}, \
     .high = 3,                                                       \
     .crossed = true,                                                 \
     OCTET_GRID(0, 1, 2, 3)}

static void fake_quantize_make(octet_problem *p) {
    octet_random random = octet_random_of(p);
    const elementwise *e = start(p);
    floats(p, &random, e->count, e->scale);
    add_output(p, octet_f32);
    octet_add_output(p, octet_u8, octet_get(p, "mask") ? 0 : e->count, 0);
}
static void fake_quantize_expect(octet_problem *p) {
    const elementwise *e = p->state;
    const int32_t *range = ranges[octet_get(p, "range")];
    const float *x = octet_data(p, first_input);
    float *out = octet_expected(p, e->output);
    uint8_t *mask = octet_expected(p, e->output + 1);
    const float inverse = 1 / e->scale;
    for (size_t i = 0; i < e->count; i++) {
        uint8_t inside;
        out[i] = octet_fake_quantized(x[i] * inverse, e->scale, range[2], range[0], range[1], &inside);
        if (!octet_get(p, "mask")) mask[i] = inside;
    }
}
static void fake_quantize_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const elementwise *e = p->state;
    const int32_t *range = ranges[octet_get(p, "range")];
    const size_t from = octet_share(e->count, first, p->parts), to = octet_share(e->count, last, p->parts);
    const float *x = octet_data(p, first_input);
    float *out = octet_data(p, e->output);
    uint8_t *mask = octet_get(p, "mask") ? NULL : (uint8_t *)octet_data(p, e->output + 1) + from;
    p->isa->fake_quantize(x + from, to - from, e->scale, range[2], range[0], range[1], out + from, mask);
}
// Dividing by the scale gives another number for some of these ties.
static const char *const fake_quantize_cases[] = {
    "count=1024 values=ties scale=0.1",
    "count=1024 values=ties scale=0.37 seed=2",
    "count=100003 values=strange threads=3 mask=no",
    NULL,
};
ELEMENTWISE(fake_quantize, "fake-quantize", 4, 5, RANGE, SCALE("scale"), VALUES, OCTET_CHOICE("mask", "yes", "no"))

// MARK: - Floats to floats

static const float float_lower = -0.5f, float_upper = 100;

static void one_float_make(octet_problem *p) {
    octet_random random = octet_random_of(p);
    const elementwise *e = start(p);
    floats(p, &random, e->count, 1);
    add_output(p, octet_f32);
}
static void two_float_make(octet_problem *p) {
    octet_random random = octet_random_of(p);
    const elementwise *e = start(p);
    floats(p, &random, e->count, 1);
    floats(p, &random, e->count, 1);
    add_output(p, octet_f32);
}

#define float_clamp_make one_float_make
static void float_clamp_expect(octet_problem *p) {
    const elementwise *e = p->state;
    const float *x = octet_data(p, first_input);
    float *out = octet_expected(p, e->output);
    for (size_t i = 0; i < e->count; i++) out[i] = octet_clamp(x[i], float_lower, float_upper);
}
RUN(float_clamp, p->isa->clamp_f32(r.a, r.count, float_lower, float_upper, r.out))
NO_CASES(float_clamp)
ELEMENTWISE(float_clamp, "float-clamp", 4, 4, VALUES)

#define float_add_make two_float_make
static void float_add_expect(octet_problem *p) {
    const elementwise *e = p->state;
    const float *a = octet_data(p, first_input), *b = octet_data(p, second_input);
    float *out = octet_expected(p, e->output);
    for (size_t i = 0; i < e->count; i++) out[i] = octet_clamp(a[i] + b[i], float_lower, float_upper);
}
RUN(float_add, p->isa->add_f32(r.a, r.b, r.count, float_lower, float_upper, r.out))
NO_CASES(float_add)
ELEMENTWISE(float_add, "float-add", 8, 4, VALUES)

#define float_mul_make two_float_make
static void float_mul_expect(octet_problem *p) {
    const elementwise *e = p->state;
    const float *a = octet_data(p, first_input), *b = octet_data(p, second_input);
    float *out = octet_expected(p, e->output);
    for (size_t i = 0; i < e->count; i++) out[i] = a[i] * b[i];
}
RUN(float_mul, p->isa->mul_f32(r.a, r.b, r.count, r.out))
NO_CASES(float_mul)
ELEMENTWISE(float_mul, "float-mul", 8, 4, VALUES)

// MARK: - Functions of floats

enum { function_count = 6 };
static double function_of(int64_t function, double x) {
    switch ((octet_unary)function) {
        case OCTET_EXP:
            return exp(x);
        case OCTET_SIGMOID:
            return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
        case OCTET_TANH:
            return tanh(x);
        case OCTET_ERF:
            return erf(x);
        case OCTET_GELU:
            return x * erfc(-x * 0.70710678118654752) / 2;
        case OCTET_SILU:
            return x * function_of(OCTET_SIGMOID, x);
    }
    abort();
}

static void function_make(octet_problem *p) {
    static const float strange[] = {0,      -0.0f, NAN,     INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f, 88.72f,
                                    88.73f, 89,    -86.85f, -86.95f,  -87.5f,    -104,  0.5f,   0.625f, -0.625f};
    static const float widths[] = {1e-3f, 1, 4, 20, 100};
    // Units of the last place, and half of one because the exact answer is rounded.
    static const double errors[function_count] = {1.5, 2.8, 1.9, 3.1, 5.6, 3.4};
    octet_random random = octet_random_of(p);
    elementwise *e = start(p);
    float *x = octet_add_input(p, octet_f32, e->count);
    for (size_t i = 0; i < e->count; i++) {
        const float width = widths[octet_random_next(&random) % OCTET_COUNT(widths)];
        x[i] = octet_random_float(&random, -width, width);
        if (octet_random_next(&random) % 8 == 0) x[i] = strange[octet_random_next(&random) % OCTET_COUNT(strange)];
    }
    add_output(p, octet_f32);
    octet_buffer *out = &p->buffers[e->output];
    out->tolerance = 0x1p-117;  // silu: x times what is 0 below 2⁻¹²⁴
    out->relative = errors[octet_get(p, "function")] * 0x1p-23;
}
static void function_expect(octet_problem *p) {
    const elementwise *e = p->state;
    const float *x = octet_data(p, first_input);
    float *out = octet_expected(p, e->output);
    for (size_t i = 0; i < e->count; i++) out[i] = (float)function_of(octet_get(p, "function"), x[i]);
}
RUN(function, p->isa->unary_f32((octet_unary)octet_get(p, "function"), r.a, r.count, r.out))
NO_CASES(function)
ELEMENTWISE(function, "function", 4, 4,
            {.name = "function",
             .choices = (const char *[]){"exp", "sigmoid", "tanh", "erf", "gelu", "silu"},
             .high = function_count - 1,
             .crossed = true,
             OCTET_GRID(0, 1, 2, 3, 4, 5)})
