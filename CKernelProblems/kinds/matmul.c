// The product of two matrices of activations.
#include "../kind.h"

typedef struct {
    octet_matmul sizes;
    const uint8_t *a, *b;
    uint8_t *output;
} matmul;
enum { a_buffer, b_buffer, output_buffer };

static octet_matmul sizes_of(const octet_kind *kind, const int64_t *values) {
    // Ranges of bytes, and where 0 lies in them.
    static const int32_t ranges[][3] = {{0, 255, 128}, {0, 255, 0}, {1, 255, 128}, {7, 200, 255}};
    const int32_t *range = ranges[octet_value(kind, values, "clamp")];
    octet_matmul s = {
        .m = octet_size(kind, values, "m"),
        .n = octet_size(kind, values, "n"),
        .k = octet_size(kind, values, "k"),
        .a_zero = (int32_t)octet_value(kind, values, "a_zero"),
        .b_zero = (int32_t)octet_value(kind, values, "b_zero"),
        .lower = (float)(range[0] - range[2]),
        .upper = (float)(range[1] - range[2]),
        .zero = range[2],
    };
    // Halves give ties; huge ones leave the range of int32.
    const float scales[] = {0.02f / sqrtf((float)s.k), 0.5f, 1e5f};
    s.scale = scales[octet_value(kind, values, "scales")];
    return s;
}

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    (void)kind, (void)values;
    return NULL;
}

static octet_work work(const octet_kind *kind, const int64_t *values) {
    const octet_matmul s = sizes_of(kind, values);
    const double m = (double)s.m, n = (double)s.n, k = (double)s.k;
    return (octet_work){.macs = m * n * k, .bytes = m * n + m * k + k * n, .outputs = m * n};
}

static void make(octet_problem *p) {
    matmul *s = p->state;
    octet_random random = octet_random_of(p);
    s->sizes = sizes_of(p->kind, p->values);
    const size_t m = s->sizes.m, n = s->sizes.n, k = s->sizes.k;
    octet_fill_activations(&random, octet_get(p, "activations"), octet_add_input(p, octet_u8, m * k), m * k);
    octet_fill_activations(&random, octet_get(p, "others"), octet_add_input(p, octet_u8, k * n), k * n);
    s->output = octet_add_output(p, octet_u8, m * n, 0);
    s->a = octet_data(p, a_buffer);
    s->b = octet_data(p, b_buffer);
}

static void expect(octet_problem *p) {
    const matmul *s = p->state;
    const octet_matmul *sizes = &s->sizes;
    uint8_t *output = octet_expected(p, output_buffer);
    for (size_t i = 0; i < sizes->m; i++)
        for (size_t j = 0; j < sizes->n; j++) {
            int32_t sum = 0;
            for (size_t l = 0; l < sizes->k; l++)
                sum += (s->a[i * sizes->k + l] - sizes->a_zero) * (s->b[l * sizes->n + j] - sizes->b_zero);
            output[i * sizes->n + j] =
                octet_requantized((float)sum * sizes->scale, sizes->lower, sizes->upper, sizes->zero);
        }
}

static size_t prepare(octet_problem *p) {
    const matmul *s = p->state;
    p->scratch_size = octet_matmul_scratch_size(&p->isa->int8, &s->sizes);
    return 1;
}

static void run(octet_problem *p, size_t first, size_t last, void *scratch) {
    const matmul *s = p->state;
    if (first < last) octet_matmul_run(&p->isa->int8, &s->sizes, s->a, s->b, s->output, scratch);
}

static const octet_parameter parameters[] = {
    OCTET_COMMON_PARAMETERS,
    OCTET_CROSSED("m", 1, 1 << 20, 128, 1, 2, 3, 5, 6, 7, 14, 15, 29),
    OCTET_CROSSED("n", 1, 1 << 20, 128, 1, 5, 8, 16, 17, 33, 40, 65),
    OCTET_CROSSED("k", 1, 16384, 64, 1, 3, 4, 7, 17, 31, 64, 257),
    OCTET_NUMBER("a_zero", 0, 255, 128, 0, 255, 128, 3),
    OCTET_NUMBER("b_zero", 0, 255, 120, 0, 255, 128, 3),
    OCTET_CHOICE("clamp", "bytes", "relu", "signed", "odd"),
    OCTET_CHOICE("scales", "spread", "half", "huge"),
    OCTET_ACTIVATIONS,
    OCTET_CHOICE("others", "random", "all255", "all0", "alternating", "ends", "small"),
};
// Several blocks of columns; the longest sums.
static const char *const cases[] = {
    "m=20 n=530 k=600",
    "m=7 n=2200 k=64 b_zero=128",
    "m=13 n=70 k=2100 a_zero=3",
    "m=3 n=40 k=16384 a_zero=0 b_zero=255 activations=all255 others=all0 scales=half",
    "m=7 n=40 k=16384 a_zero=255 b_zero=0 activations=all0 others=all255 scales=half",
    "m=4 n=24 k=16384 a_zero=0 b_zero=0 activations=all255 others=all255",
    NULL,
};

const octet_kind octet_kind_matmul = {
    .name = "matmul",
    .parameters = parameters,
    .parameter_count = OCTET_COUNT(parameters),
    .cases = cases,
    .sequential = true,
    .exact = true,
    .refusal = refusal,
    .work = work,
    .state_size = sizeof(matmul),
    .make = make,
    .expect = expect,
    .prepare = prepare,
    .run = run,
};
