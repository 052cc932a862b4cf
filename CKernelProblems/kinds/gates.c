// The gates of recurrent layers.
#include "../kind.h"

typedef struct {
    size_t rows, hidden;
} gates;

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    (void)kind, (void)values;
    return NULL;
}

static octet_work work(const octet_kind *kind, const int64_t *values) {
    const double count = (double)octet_value(kind, values, "rows") * (double)octet_value(kind, values, "hidden");
    return (octet_work){.bytes = 7 * sizeof(float) * count, .outputs = count};
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static void add_input(octet_problem *p, octet_random *random, size_t count, float width) {
    octet_random_floats(random, octet_add_input(p, octet_f32, count), count, -width, width);
}
static gates *start(octet_problem *p) {
    gates *g = p->state;
    *g = (gates){.rows = (size_t)octet_get(p, "rows"), .hidden = (size_t)octet_get(p, "hidden")};
    return g;
}
static size_t prepare(octet_problem *p) { return octet_parts(((gates *)p->state)->rows, p->threads); }
static float *place(const octet_problem *p, size_t buffer, size_t row, size_t gate_count) {
    return (float *)octet_data((octet_problem *)p, buffer) + row * gate_count * ((gates *)p->state)->hidden;
}

// MARK: - LSTM

enum { lstm_gates, lstm_cell, lstm_next_cell, lstm_out };

static void lstm_make(octet_problem *p) {
    const gates *g = start(p);
    octet_random random = octet_random_of(p);
    const size_t count = g->rows * g->hidden;
    add_input(p, &random, 4 * count, 8);
    add_input(p, &random, count, 2);
    octet_add_output(p, octet_f32, count, 1e-6);
    octet_add_output(p, octet_f32, count, 1e-6);
}
static void lstm_expect(octet_problem *p) {
    const gates *g = p->state;
    const float *x = octet_data(p, lstm_gates), *cell = octet_data(p, lstm_cell);
    float *next_cell = octet_expected(p, lstm_next_cell), *out = octet_expected(p, lstm_out);
    for (size_t i = 0; i < g->rows * g->hidden; i++) {
        const float *gate = x + i / g->hidden * 4 * g->hidden + i % g->hidden;
        const double input = sigmoid(gate[0]), forget = sigmoid(gate[g->hidden]);
        const double fresh = tanh(gate[2 * g->hidden]), output = sigmoid(gate[3 * g->hidden]);
        const double state = forget * cell[i] + input * fresh;
        next_cell[i] = (float)state;
        out[i] = (float)(output * tanh(state));
    }
}
static void lstm_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const gates *g = p->state;
    const size_t row = octet_share(g->rows, first, p->parts), end = octet_share(g->rows, last, p->parts);
    p->isa->lstm_gates_f32(place(p, lstm_gates, row, 4), place(p, lstm_cell, row, 1), end - row, g->hidden,
                           place(p, lstm_next_cell, row, 1), place(p, lstm_out, row, 1));
}

// MARK: - GRU

enum { gru_input, gru_hidden, gru_state, gru_out };

static void gru_make(octet_problem *p) {
    const gates *g = start(p);
    octet_random random = octet_random_of(p);
    const size_t count = g->rows * g->hidden;
    add_input(p, &random, 3 * count, 4);
    add_input(p, &random, 3 * count, 4);
    add_input(p, &random, count, 1);
    octet_add_output(p, octet_f32, count, 1e-6);
}
static void gru_expect(octet_problem *p) {
    const gates *g = p->state;
    const float *x = octet_data(p, gru_input), *h = octet_data(p, gru_hidden), *state = octet_data(p, gru_state);
    float *out = octet_expected(p, gru_out);
    for (size_t i = 0; i < g->rows * g->hidden; i++) {
        const size_t reset = i / g->hidden * 3 * g->hidden + i % g->hidden, update = reset + g->hidden;
        const size_t fresh = update + g->hidden;
        const double r = sigmoid((double)x[reset] + h[reset]), z = sigmoid((double)x[update] + h[update]);
        const double n = tanh(x[fresh] + r * h[fresh]);
        out[i] = (float)((1 - z) * n + z * state[i]);
    }
}
static void gru_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const gates *g = p->state;
    const size_t row = octet_share(g->rows, first, p->parts), end = octet_share(g->rows, last, p->parts);
    p->isa->gru_gates_f32(place(p, gru_input, row, 3), place(p, gru_hidden, row, 3), place(p, gru_state, row, 1),
                          end - row, g->hidden, place(p, gru_out, row, 1));
}

static const octet_parameter parameters[] = {
    OCTET_COMMON_PARAMETERS,
    OCTET_CROSSED("rows", 1, 1 << 20, 1, 1, 2, 5),
    OCTET_CROSSED("hidden", 1, 1 << 20, 512, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 512),
};

#define GATES_KIND(symbol, name_)                    \
    const octet_kind octet_kind_##symbol##_gates = { \
        .name = name_,                               \
        .parameters = parameters,                    \
        .parameter_count = OCTET_COUNT(parameters),  \
        .draws = 2,                                  \
        .exact = true,                               \
        .refusal = refusal,                          \
        .work = work,                                \
        .state_size = sizeof(gates),                 \
        .make = symbol##_make,                       \
        .expect = symbol##_expect,                   \
        .prepare = prepare,                          \
        .run = symbol##_run,                         \
    };
GATES_KIND(lstm, "lstm-gates")
GATES_KIND(gru, "gru-gates")
