// The product of two float matrices of any layout.
#include "../kind.h"

typedef struct {
    size_t m, n, k, a_row, a_column, b_row, b_column, ldc;
    bool accumulate;
    const float *a, *b;
    float *c;
} sgemm;
enum { a_buffer, b_buffer, c_buffer };

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    (void)kind, (void)values;
    return NULL;
}

static octet_work work(const octet_kind *kind, const int64_t *values) {
    const double m = (double)octet_value(kind, values, "m"), n = (double)octet_value(kind, values, "n");
    const double k = (double)octet_value(kind, values, "k");
    return (octet_work){.macs = m * n * k, .bytes = (m * n + m * k + k * n) * sizeof(float), .outputs = m * n};
}

static void make(octet_problem *p) {
    sgemm *s = p->state;
    octet_random random = octet_random_of(p);
    *s = (sgemm){
        .m = (size_t)octet_get(p, "m"),
        .n = (size_t)octet_get(p, "n"),
        .k = (size_t)octet_get(p, "k"),
        .accumulate = octet_get(p, "accumulate"),
    };
    s->ldc = s->n + (size_t)octet_get(p, "gap");
    const bool a_transposed = octet_get(p, "a") == 1, b_transposed = octet_get(p, "b") == 1;
    s->a_row = a_transposed ? 1 : s->k, s->a_column = a_transposed ? s->m : 1;
    s->b_row = b_transposed ? 1 : s->n, s->b_column = b_transposed ? s->k : 1;
    octet_random_floats(&random, octet_add_input(p, octet_f32, s->m * s->k), s->m * s->k, -1, 1);
    octet_random_floats(&random, octet_add_input(p, octet_f32, s->k * s->n), s->k * s->n, -1, 1);
    float *c = octet_add_output(p, octet_f32, (s->m - 1) * s->ldc + s->n, 1e-6 * (double)(s->k + 4));
    for (size_t i = 0; i < s->m; i++) octet_random_floats(&random, c + i * s->ldc, s->n, -1, 1);
    s->a = octet_data(p, a_buffer);
    s->b = octet_data(p, b_buffer);
    s->c = c;
    // NaN and infinity go through to their rows.
    if (octet_get(p, "strange") && s->k == 1) {
        float *a = octet_data(p, a_buffer);
        a[0] = NAN;
        a[s->m - 1] = INFINITY;
    }
}

static void expect(octet_problem *p) {
    const sgemm *s = p->state;
    float *c = octet_expected(p, c_buffer);
    for (size_t i = 0; i < s->m; i++)
        for (size_t j = 0; j < s->n; j++) {
            double sum = s->accumulate ? c[i * s->ldc + j] : 0;
            for (size_t l = 0; l < s->k; l++)
                sum += (double)s->a[i * s->a_row + l * s->a_column] * (double)s->b[l * s->b_row + j * s->b_column];
            c[i * s->ldc + j] = (float)sum;
        }
}

static size_t prepare(octet_problem *p) {
    const sgemm *s = p->state;
    p->scratch_size = octet_sgemm_scratch_size(&p->isa->float32, s->m, s->n, s->k);
    return 1;
}

static void run(octet_problem *p, size_t first, size_t last, void *scratch) {
    const sgemm *s = p->state;
    if (first < last)
        octet_sgemm(&p->isa->float32, s->m, s->n, s->k, s->a, s->a_row, s->a_column, s->b, s->b_row, s->b_column, s->c,
                    s->ldc, s->accumulate, scratch);
}

static const octet_parameter parameters[] = {
    OCTET_COMMON_PARAMETERS,
    OCTET_CROSSED("m", 1, 1 << 20, 256, 1, 2, 3, 5, 7, 13, 14, 15, 29),
    OCTET_CROSSED("n", 1, 1 << 20, 256, 1, 5, 8, 16, 17, 33, 40, 65),
    OCTET_CROSSED("k", 0, 1 << 20, 256, 0, 1, 4, 7, 17, 31, 64, 256),
    OCTET_CHOICE("a", "rows", "columns"),
    OCTET_CHOICE("b", "rows", "columns"),
    OCTET_CHOICE("accumulate", "no", "yes"),
    OCTET_CHOICE("strange", "no", "yes"),
    OCTET_NUMBER("gap", 0, 64, 0, 0, 3),
};
static const char *const cases[] = {
    "m=120 n=530 k=40 gap=3",    "m=113 n=20 k=600 a=columns accumulate=yes",
    "m=40 n=48 k=256 b=columns", "m=5 n=600 k=513 a=columns b=columns accumulate=yes gap=1",
    "m=230 n=390 k=390",         NULL,
};

const octet_kind octet_kind_sgemm = {
    .name = "sgemm",
    .parameters = parameters,
    .parameter_count = OCTET_COUNT(parameters),
    .cases = cases,
    .sequential = true,
    .refusal = refusal,
    .work = work,
    .state_size = sizeof(sgemm),
    .make = make,
    .expect = expect,
    .prepare = prepare,
    .run = run,
};
