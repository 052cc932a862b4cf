// What observers ask of a tensor.
#include "../kind.h"

enum { input_buffer, first_output };

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    (void)kind, (void)values;
    return NULL;
}

static octet_work work(const octet_kind *kind, const int64_t *values) {
    const double count = (double)octet_value(kind, values, "count");
    return (octet_work){.bytes = count * sizeof(float), .outputs = count};
}

// What observers get: numbers around `low` ... `high`, and as many strange ones as the parameter says in ten.
static float *observed(octet_problem *p, float low, float high) {
    static const float strange[] = {NAN, INFINITY, -INFINITY, 3e38f, -0.0f, -1.7f, 3.3f, 3.30000019f, -1.70000005f};
    octet_random random = octet_random_of(p);
    const size_t count = (size_t)octet_get(p, "count");
    float *x = octet_add_input(p, octet_f32, count);
    octet_random_floats(&random, x, count, low, high);
    for (size_t i = 0; i < count; i++)
        if (octet_random_between(&random, 0, 9) < octet_get(p, "strange"))
            x[i] = strange[octet_random_next(&random) % OCTET_COUNT(strange)];
    return x;
}

static size_t prepare(octet_problem *p) { return octet_parts((size_t)octet_get(p, "count"), p->threads); }

// MARK: - Smallest and largest

static void min_max_make(octet_problem *p) {
    observed(p, -50, 70);
    float *extremes = octet_add_output(p, octet_f32, 2, 0);
    extremes[0] = INFINITY, extremes[1] = -INFINITY;
    size_t *counts = octet_add_output(p, octet_count, 2, 0);
    counts[0] = counts[1] = 0;
}
static void min_max_expect(octet_problem *p) {
    const float *x = octet_data(p, input_buffer);
    float *extremes = octet_expected(p, first_output);
    size_t *counts = octet_expected(p, first_output + 1);
    for (size_t i = 0, count = (size_t)octet_get(p, "count"); i < count; i++) {
        if (x[i] != x[i]) {
            counts[1]++;
        } else if (x[i] == INFINITY || x[i] == -INFINITY) {
            counts[0]++;
        } else {
            if (x[i] < extremes[0]) extremes[0] = x[i];
            if (x[i] > extremes[1]) extremes[1] = x[i];
        }
    }
}
static void min_max_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const float *x = octet_data(p, input_buffer);
    float *extremes = octet_data(p, first_output);
    size_t *counts = octet_data(p, first_output + 1);
    const size_t count = (size_t)octet_get(p, "count");
    const size_t from = octet_share(count, first, p->parts), to = octet_share(count, last, p->parts);
    p->isa->min_max(x + from, to - from, &extremes[0], &extremes[1], &counts[0], &counts[1]);
}

// MARK: - Histogram

static const float minimum = -1.7f, maximum = 3.3f;

static void histogram_make(octet_problem *p) {
    observed(p, -3, 5);
    const size_t bins = (size_t)octet_get(p, "bins");
    float *counts = octet_add_output(p, octet_f32, bins, 0);
    for (size_t i = 0; i < bins; i++) counts[i] = 2;
}
static void histogram_expect(octet_problem *p) {
    const float *x = octet_data(p, input_buffer);
    const size_t bins = (size_t)octet_get(p, "bins");
    float *counts = octet_expected(p, first_output);
    for (size_t i = 0, count = (size_t)octet_get(p, "count"); i < count; i++) {
        if (!(x[i] >= minimum && x[i] <= maximum)) continue;
        const float scaled = (x[i] - minimum) * (float)bins;
        const size_t bin = (size_t)(scaled / (maximum - minimum));
        counts[bin < bins ? bin : bins - 1]++;
    }
}
static void histogram_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const float *x = octet_data(p, input_buffer);
    const size_t count = (size_t)octet_get(p, "count");
    const size_t from = octet_share(count, first, p->parts), to = octet_share(count, last, p->parts);
    p->isa->histogram(x + from, to - from, minimum, maximum, octet_data(p, first_output), (size_t)octet_get(p, "bins"));
}

// MARK: - Kinds

#define COUNT \
    OCTET_CROSSED("count", 0, 1 << 30, 10000000, 0, 1, 2, 5, 7, 16, 31, 63, 64, 65, 100, 1000, 4096, 5000, 20000)
#define STRANGE OCTET_CROSSED("strange", 0, 10, 0, 0, 1, 7)
static const octet_parameter min_max_parameters[] = {OCTET_COMMON_PARAMETERS, COUNT, STRANGE};
static const octet_parameter histogram_parameters[] = {
    OCTET_COMMON_PARAMETERS, COUNT, STRANGE,
    OCTET_CROSSED("bins", 1, 1 << 20, 2048, 1, 3, 7, 10, 100, 2047, 2048, 2049, 3000)};

#define STATISTICS_KIND(symbol, name_)                       \
    const octet_kind octet_kind_##symbol = {                 \
        .name = name_,                                       \
        .parameters = symbol##_parameters,                   \
        .parameter_count = OCTET_COUNT(symbol##_parameters), \
        .exact = true,                                       \
        .sequential = true,                                  \
        .refusal = refusal,                                  \
        .work = work,                                        \
        .make = symbol##_make,                               \
        .expect = symbol##_expect,                           \
        .prepare = prepare,                                  \
        .run = symbol##_run,                                 \
    };
STATISTICS_KIND(min_max, "min-max")
STATISTICS_KIND(histogram, "histogram")
