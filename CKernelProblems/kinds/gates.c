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
    return (octet_work){.bytes = 10 * sizeof(float) * count, .outputs = count};
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
// Several rows are shared out, or the units of a single one.
static size_t shared(const gates *g) { return g->rows > 1 ? g->rows : g->hidden; }
static size_t prepare(octet_problem *p) { return octet_parts(shared(p->state), p->threads); }

typedef struct {
    size_t row, rows, unit, units;
} part;
static part part_of(const octet_problem *p, size_t first, size_t last) {
    const gates *g = p->state;
    const size_t from = octet_share(shared(g), first, p->parts), count = octet_share(shared(g), last, p->parts) - from;
    return g->rows > 1 ? (part){from, count, 0, g->hidden} : (part){0, 1, from, count};
}
static float *place(const octet_problem *p, size_t buffer, part part, size_t gate_count) {
    return (float *)octet_data((octet_problem *)p, buffer) + part.row * gate_count * ((gates *)p->state)->hidden +
           part.unit;
}

// MARK: - LSTM

enum { lstm_input, lstm_hidden, lstm_cell, lstm_next_cell, lstm_out };

static void lstm_make(octet_problem *p) {
    const gates *g = start(p);
    octet_random random = octet_random_of(p);
    const size_t count = g->rows * g->hidden;
    add_input(p, &random, 4 * count, 6);
    add_input(p, &random, 4 * count, 2);
    add_input(p, &random, count, 2);
    octet_add_output(p, octet_f32, count, 1e-6);
    octet_add_output(p, octet_f32, count, 1e-6);
}
static void lstm_expect(octet_problem *p) {
    const gates *g = p->state;
    const float *x = octet_data(p, lstm_input), *h = octet_data(p, lstm_hidden), *cell = octet_data(p, lstm_cell);
    float *next_cell = octet_expected(p, lstm_next_cell), *out = octet_expected(p, lstm_out);
    for (size_t i = 0; i < g->rows * g->hidden; i++) {
        const size_t first = i / g->hidden * 4 * g->hidden + i % g->hidden;
        double gate[4];
        for (size_t j = 0; j < 4; j++) gate[j] = (double)x[first + j * g->hidden] + h[first + j * g->hidden];
        const double input = sigmoid(gate[0]), forget = sigmoid(gate[1]), fresh = tanh(gate[2]),
                     output = sigmoid(gate[3]);
        const double state = forget * cell[i] + input * fresh;
        next_cell[i] = (float)state;
        out[i] = (float)(output * tanh(state));
    }
}
static void lstm_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const gates *g = p->state;
    const part part = part_of(p, first, last);
    p->isa->lstm_gates_f32(place(p, lstm_input, part, 4), place(p, lstm_hidden, part, 4), place(p, lstm_cell, part, 1),
                           part.rows, g->hidden, part.units, place(p, lstm_next_cell, part, 1),
                           place(p, lstm_out, part, 1));
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
    const part part = part_of(p, first, last);
    p->isa->gru_gates_f32(place(p, gru_input, part, 3), place(p, gru_hidden, part, 3), place(p, gru_state, part, 1),
                          part.rows, g->hidden, part.units, place(p, gru_out, part, 1));
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
