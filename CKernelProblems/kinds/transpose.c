// Between [channels, pixels] and [pixels, channels].
#include "../kind.h"

enum { input_buffer, output_buffer };
enum { to_nhwc, to_nchw };

typedef struct {
    size_t channels, pixels;
    bool floats;
    int64_t direction;
} transpose;

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    (void)kind, (void)values;
    return NULL;
}

static octet_work work(const octet_kind *kind, const int64_t *values) {
    const double count = (double)octet_value(kind, values, "channels") * (double)octet_value(kind, values, "pixels");
    return (octet_work){.bytes = 2 * count * (octet_value(kind, values, "type") ? 4 : 1), .outputs = count};
}

static void make(octet_problem *p) {
    transpose *t = p->state;
    octet_random random = octet_random_of(p);
    t->channels = (size_t)octet_get(p, "channels");
    t->pixels = (size_t)octet_get(p, "pixels");
    t->floats = octet_get(p, "type");
    t->direction = octet_get(p, "direction");
    const size_t count = t->channels * t->pixels;
    if (t->floats) {
        octet_random_floats(&random, octet_add_input(p, octet_f32, count), count, -1, 1);
    } else {
        uint8_t *input = octet_add_input(p, octet_u8, count);
        for (size_t i = 0; i < count; i++) input[i] = (uint8_t)octet_random_next(&random);
    }
    octet_add_output(p, t->floats ? octet_f32 : octet_u8, count, 0);
}

static void expect(octet_problem *p) {
    const transpose *t = p->state;
    const size_t size = t->floats ? 4 : 1;
    const char *from = octet_data(p, input_buffer);
    char *to = octet_expected(p, output_buffer);
    for (size_t c = 0; c < t->channels; c++)
        for (size_t i = 0; i < t->pixels; i++) {
            const size_t nchw = c * t->pixels + i, nhwc = i * t->channels + c;
            if (t->direction == to_nhwc) {
                memcpy(to + nhwc * size, from + nchw * size, size);
            } else {
                memcpy(to + nchw * size, from + nhwc * size, size);
            }
        }
}

static size_t prepare(octet_problem *p) {
    (void)p;
    return 1;
}

static void run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const transpose *t = p->state;
    const void *from = octet_data(p, input_buffer);
    void *to = octet_data(p, output_buffer);
    if (first == last) return;
    if (t->floats) {
        (t->direction == to_nhwc ? p->isa->to_nhwc_f32 : p->isa->to_nchw_f32)(from, t->channels, t->pixels, to);
    } else {
        (t->direction == to_nhwc ? p->isa->to_nhwc_u8 : p->isa->to_nchw_u8)(from, t->channels, t->pixels, to);
    }
}

static const octet_parameter parameters[] = {
    OCTET_COMMON_PARAMETERS,
    OCTET_CROSSED("channels", 1, 1 << 20, 64, 1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 64, 100),
    OCTET_CROSSED("pixels", 1, 1 << 28, 56 * 56, 1, 2, 3, 7, 16, 31, 32, 33, 64, 81, 130),
    {.name = "type", .choices = (const char *[]){"uint8", "float32"}, .high = 1, .crossed = true, OCTET_GRID(0, 1)},
    {.name = "direction",
     .choices = (const char *[]){"to-nhwc", "to-nchw"},
     .high = 1,
     .crossed = true,
     OCTET_GRID(0, 1)},
};

// Rows a large power of two apart.
static const char *const cases[] = {
    "channels=70 pixels=2048",
    "channels=2048 pixels=67",
    "channels=130 pixels=2048 direction=to-nchw",
    "channels=512 pixels=33 type=float32",
    "channels=19 pixels=512 type=float32 direction=to-nchw",
    NULL,
};

const octet_kind octet_kind_transpose = {
    .name = "transpose",
    .parameters = parameters,
    .parameter_count = OCTET_COUNT(parameters),
    .cases = cases,
    .exact = true,
    .sequential = true,
    .refusal = refusal,
    .work = work,
    .state_size = sizeof(transpose),
    .make = make,
    .expect = expect,
    .prepare = prepare,
    .run = run,
};
