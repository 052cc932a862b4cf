// Where the values of parameters come from: text, the grid, random numbers.
#include <inttypes.h>

#include "kind.h"

int octet_parameter_index(const octet_kind *kind, const char *name) {
    for (size_t i = 0; i < kind->parameter_count; i++)
        if (strcmp(kind->parameters[i].name, name) == 0) return (int)i;
    return -1;
}

int64_t octet_value(const octet_kind *kind, const int64_t *values, const char *name) {
    const int i = octet_parameter_index(kind, name);
    if (i >= 0) return values[i];
    fprintf(stderr, "%s has no parameter %s\n", kind->name, name);
    abort();
}

void octet_usual_values(const octet_kind *kind, int64_t *values) {
    for (size_t i = 0; i < kind->parameter_count; i++) values[i] = kind->parameters[i].usual;
}

// MARK: - Text

static bool parse_value(const octet_parameter *p, const char *text, int64_t *value) {
    if (p->choices)
        for (*value = p->low; *value <= p->high; ++*value)
            if (strcmp(p->choices[*value - p->low], text) == 0) return true;
    char *end;
    *value = strtoll(text, &end, 10);
    return *text && !*end && *value >= p->low && *value <= p->high;
}

const octet_kind *octet_parse_problem(const char *text, const octet_kind *kind, int64_t *values, char *message,
                                      size_t size) {
    if (kind) octet_usual_values(kind, values);
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        char item[64];
        const size_t length = strcspn(text, " ");
        snprintf(item, sizeof item, "%.*s", (int)length, text);
        text += length;
        char *value = strchr(item, '=');
        if (!value) {
            kind = octet_kind_named(item);
            if (!kind) {
                snprintf(message, size, "there is no kind %s", item);
                return NULL;
            }
            octet_usual_values(kind, values);
            continue;
        }
        *value++ = 0;
        const int i = kind ? octet_parameter_index(kind, item) : -1;
        if (i < 0 || !parse_value(&kind->parameters[i], value, &values[i])) {
            snprintf(message, size, "%s does not take %s=%s", kind ? kind->name : "no kind", item, value);
            return NULL;
        }
    }
    if (!kind) snprintf(message, size, "no kind is named");
    return kind;
}

void octet_format_problem(const octet_kind *kind, const int64_t *values, char *text, size_t size) {
    int used = snprintf(text, size, "%s", kind->name);
    for (size_t i = 0; i < kind->parameter_count && used >= 0 && (size_t)used < size; i++) {
        const octet_parameter *p = &kind->parameters[i];
        if (values[i] == p->usual) continue;
        used += p->choices
                    ? snprintf(text + used, size - (size_t)used, " %s=%s", p->name, p->choices[values[i] - p->low])
                    : snprintf(text + used, size - (size_t)used, " %s=%" PRId64, p->name, values[i]);
    }
}

// MARK: - Grid

static size_t crossed_count(const octet_kind *kind) {
    size_t count = kind->draws ? kind->draws : 1;
    for (size_t i = 0; i < kind->parameter_count; i++)
        if (kind->parameters[i].crossed) count *= kind->parameters[i].grid_count;
    return count;
}

size_t octet_grid_count(const octet_kind *kind) {
    size_t cases = 0;
    while (kind->cases && kind->cases[cases]) cases++;
    return cases + crossed_count(kind);
}

static int64_t draw_from_grid(const octet_parameter *p, octet_random *r) {
    if (p->grid_count) return p->grid[octet_random_next(r) % p->grid_count];
    return p->choices ? octet_random_between(r, p->low, p->high) : p->usual;
}

bool octet_grid_values(const octet_kind *kind, size_t index, int64_t *values) {
    enum { tries = 64 };
    octet_random random = {index};
    const size_t crossed = crossed_count(kind);
    const int seed = octet_parameter_index(kind, "seed");
    if (index >= crossed) {
        char message[octet_most_text];
        if (!octet_parse_problem(kind->cases[index - crossed], kind, values, message, sizeof message)) {
            fprintf(stderr, "a case of %s: %s\n", kind->name, message);
            abort();
        }
        return true;
    }
    for (int try = 0; try < tries; try++) {
        size_t rest = index;
        for (size_t i = 0; i < kind->parameter_count; i++) {
            const octet_parameter *p = &kind->parameters[i];
            values[i] = draw_from_grid(p, &random);
            if (!p->crossed) continue;
            values[i] = p->grid[rest % p->grid_count];
            rest /= p->grid_count;
        }
        values[seed] = (int64_t)index;
        if (!kind->refusal(kind, values)) return true;
    }
    return false;
}

// MARK: - Random problems

static int64_t draw(const octet_parameter *p, uint64_t (*next)(void *, uint64_t), void *context) {
    if (p->grid_count && next(context, 2) == 0) return p->grid[next(context, p->grid_count)];
    int64_t low = p->low, high = p->high;
    // Nowhere beyond the grid: the largest allowed sizes would take for ever.
    for (size_t i = 0; i < p->grid_count; i++) {
        low = i == 0 || p->grid[i] < low ? p->grid[i] : low;
        high = i == 0 || p->grid[i] > high ? p->grid[i] : high;
    }
    return low + (int64_t)next(context, (uint64_t)(high - low) + (high - low < INT64_MAX));
}

bool octet_draw_values(const octet_kind *kind, uint64_t (*next)(void *context, uint64_t bound), void *context,
                       double most_work, int64_t *values) {
    for (size_t i = 0; i < kind->parameter_count; i++) values[i] = draw(&kind->parameters[i], next, context);
    if (kind->refusal(kind, values)) return false;
    const octet_work work = kind->work(kind, values);
    return work.macs <= most_work && work.bytes <= most_work;
}

static uint64_t next_random(void *context, uint64_t bound) { return octet_random_next(context) % bound; }

void octet_draw_problem(const octet_kind *kind, uint64_t seed, double most_work, int64_t *values) {
    octet_random random = {seed};
    while (!octet_draw_values(kind, next_random, &random, most_work, values)) continue;
}
