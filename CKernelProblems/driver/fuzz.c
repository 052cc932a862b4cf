// libFuzzer over problems: bytes become a kind and values for its parameters, every instruction set of this CPU runs
// the problem, and all have to give the exact answer.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../include/octet_problems.h"

// Multiply-accumulates, or bytes: a few milliseconds with sanitizers.
static const double most_work = 200000;

typedef struct {
    const uint8_t *from;
    size_t size;
} bytes;

// As many bytes as the bound needs; zeros when there are no more.
static uint64_t next(void *context, uint64_t bound) {
    bytes *b = context;
    uint64_t value = 0;
    for (uint64_t reach = 1; reach != 0 && reach < bound; reach <<= 8) {
        value = value << 8 | (b->size ? *b->from : 0);
        if (b->size) b->from++, b->size--;
    }
    return value % bound;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes b = {data, size};
    size_t kinds, isas;
    const octet_kind *const *kind = octet_kinds(&kinds);
    kind += next(&b, kinds);
    int64_t values[octet_most_parameters];
    if (!octet_draw_values(*kind, next, &b, most_work, values)) return -1;
    octet_problem *problem = octet_problem_create(*kind, values);
    if (!problem) abort();
    const octet_isa *const *isa = octet_isa_all(&isas);
    for (size_t i = 0; i < isas; i++) {
        char text[octet_most_text], message[256];
        if (!isa[i]->supported() || octet_problem_test(problem, isa[i], message, sizeof message)) continue;
        octet_format_problem(*kind, values, text, sizeof text);
        fprintf(stderr, "%s: %s: %s\n", isa[i]->name, text, message);
        abort();
    }
    octet_problem_destroy(problem);
    return 0;
}
