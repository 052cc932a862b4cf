#include <inttypes.h>

#include "kind.h"

size_t octet_element_size(octet_element type) {
    switch (type) {
        case octet_u8:
        case octet_s8:
            return 1;
        case octet_s32:
        case octet_f32:
            return 4;
        case octet_count:
            return sizeof(size_t);
    }
    abort();
}
static size_t buffer_count_of(const octet_buffer *b) { return b->block.size / octet_element_size(b->type); }

// FNV-1a
static uint64_t digest(uint64_t hash, const void *bytes, size_t size) {
    const uint8_t *from = bytes;
    for (size_t i = 0; i < size; i++) hash = (hash ^ from[i]) * 0x100000001B3;
    return hash;
}
static const uint64_t digest_start = 0xCBF29CE484222325;

// MARK: - Buffers

static void out_of_memory(void) {
    fputs("out of memory\n", stderr);
    abort();
}

static octet_buffer *add_buffer(octet_problem *p, octet_element type, size_t count) {
    if (p->buffer_count == octet_most_buffers) abort();
    octet_buffer *b = &p->buffers[p->buffer_count++];
    const size_t size = octet_element_size(type);
    b->type = type;
    const octet_place place = (octet_place)octet_get(p, "memory");
    if (!octet_block_take(&b->block, count * size, place == octet_aligned ? octet_cache_line_size : size, place))
        out_of_memory();
    return b;
}

void *octet_add_input(octet_problem *p, octet_element type, size_t count) {
    return add_buffer(p, type, count)->block.data;
}

void *octet_add_output(octet_problem *p, octet_element type, size_t count, double tolerance) {
    octet_buffer *b = add_buffer(p, type, count);
    b->output = true;
    b->tolerance = tolerance;
    return b->block.data;
}

void *octet_add_packed(octet_problem *p, size_t size, size_t alignment) {
    if (p->packed_count == octet_most_packed) abort();
    octet_block *block = &p->packed[p->packed_count++];
    octet_place place = (octet_place)octet_get(p, "memory");
    if (!octet_block_take(block, size, alignment, place)) out_of_memory();
    return block->data;
}

// MARK: - From values to a problem

octet_problem *octet_problem_create(const octet_kind *kind, const int64_t *values) {
    if (kind->refusal(kind, values)) return NULL;
    octet_problem *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->kind = kind;
    memcpy(p->values, values, kind->parameter_count * sizeof *values);
    p->state = calloc(1, kind->state_size + 1);
    if (!p->state) out_of_memory();
    kind->make(p);
    for (size_t i = 0; i < p->buffer_count; i++) {
        octet_buffer *b = &p->buffers[i];
        if (!b->output) {
            b->digest = digest(digest_start, b->block.data, b->block.size);
            continue;
        }
        b->initial = malloc(b->block.size + 1);
        if (!b->initial) out_of_memory();
        memcpy(b->initial, b->block.data, b->block.size);
    }
    return p;
}

static void forget_instruction_set(octet_problem *p) {
    for (size_t i = 0; i < p->packed_count; i++) octet_block_give_back(&p->packed[i]);
    for (size_t i = 0; i < p->scratch_count; i++) octet_block_give_back(&p->scratch[i]);
    free(p->scratch);
    p->scratch = NULL;
    p->packed_count = p->scratch_count = p->scratch_size = 0;
}

void octet_problem_destroy(octet_problem *p) {
    if (!p) return;
    forget_instruction_set(p);
    for (size_t i = 0; i < p->buffer_count; i++) {
        octet_block_give_back(&p->buffers[i].block);
        free(p->buffers[i].initial);
        free(p->buffers[i].expected);
    }
    free(p->state);
    free(p);
}

void octet_problem_prepare(octet_problem *p, const octet_isa *isa, size_t threads) {
    forget_instruction_set(p);
    p->isa = isa;
    p->threads = threads;
    for (size_t i = 0; i < p->buffer_count; i++) {
        octet_buffer *b = &p->buffers[i];
        if (b->output) memcpy(b->block.data, b->initial, b->block.size);
    }
    p->parts = p->kind->prepare(p);
    p->scratch = calloc(threads, sizeof *p->scratch);
    if (!p->scratch) out_of_memory();
    for (; p->scratch_count < threads; p->scratch_count++) {
        octet_place place = (octet_place)octet_get(p, "memory");
        octet_block *block = &p->scratch[p->scratch_count];
        if (!octet_block_take(block, p->scratch_size, octet_cache_line_size, place)) out_of_memory();
    }
}

// MARK: - Running

static void run_part(void *context, size_t part, size_t worker) {
    octet_problem *p = context;
    p->kind->run(p, part, part + 1, p->scratch[worker].data);
}

void octet_problem_run(octet_problem *p, octet_pool *pool) {
    if (!pool || p->kind->sequential) {
        p->kind->run(p, 0, p->parts, p->scratch[0].data);
    } else {
        octet_pool_run(pool, p->parts, run_part, p);
    }
}

// MARK: - Comparing

static double element(octet_element type, const void *from, size_t i) {
    switch (type) {
        case octet_u8:
            return ((const uint8_t *)from)[i];
        case octet_s8:
            return ((const int8_t *)from)[i];
        case octet_s32:
            return ((const int32_t *)from)[i];
        case octet_f32:
            return ((const float *)from)[i];
        case octet_count:
            return (double)((const size_t *)from)[i];
    }
    abort();
}

static bool is_near(double found, double expected, double tolerance, double relative) {
    if (expected != expected) return found != found;
    if (found == expected) return true;
    const double error = found - expected;
    return fabs(error) <= tolerance + relative * fabs(expected);
}

static bool compare(const octet_problem *p, size_t index, char *message, size_t size) {
    const octet_buffer *b = &p->buffers[index];
    if (memcmp(b->block.data, b->expected, b->block.size) == 0) return true;
    size_t wrong = 0, first = 0;
    for (size_t i = 0, count = buffer_count_of(b); i < count; i++) {
        const double expected = element(b->type, b->expected, i);
        if (is_near(element(b->type, b->block.data, i), expected, b->tolerance, b->relative)) continue;
        if (wrong++ == 0) first = i;
    }
    if (wrong)
        snprintf(message, size, "%zu of %zu wrong, first [%zu]: %.9g instead of %.9g", wrong, buffer_count_of(b), first,
                 element(b->type, b->block.data, first), element(b->type, b->expected, first));
    return wrong == 0;
}

static void expect(octet_problem *p) {
    if (p->expected) return;
    for (size_t i = 0; i < p->buffer_count; i++) {
        octet_buffer *b = &p->buffers[i];
        if (!b->output) continue;
        b->expected = malloc(b->block.size + 1);
        if (!b->expected) out_of_memory();
        memcpy(b->expected, b->initial, b->block.size);
    }
    p->kind->expect(p);
    p->expected = true;
}

bool octet_problem_test(octet_problem *p, const octet_isa *isa, char *message, size_t size) {
    expect(p);
    octet_problem_prepare(p, isa, (size_t)octet_get(p, "threads"));
    // In reverse, as threads might; the second half in one call, for what one part leaves in the scratch must not
    // matter to the next either.
    const size_t half = p->parts / 2;
    p->kind->run(p, half, p->parts, p->scratch[0].data);
    for (size_t part = half; part > 0; part--) p->kind->run(p, part - 1, part, p->scratch[0].data);

    for (size_t i = 0; i < p->buffer_count; i++) {
        const octet_buffer *b = &p->buffers[i];
        if (b->output && !compare(p, i, message, size)) return false;
        const bool intact = octet_block_is_intact(&b->block) &&
                            (b->output || digest(digest_start, b->block.data, b->block.size) == b->digest);
        if (!intact) {
            snprintf(message, size, b->output ? "written beside buffer %zu" : "input %zu changed", i);
            return false;
        }
    }
    bool intact = true;
    for (size_t i = 0; i < p->packed_count; i++) intact &= octet_block_is_intact(&p->packed[i]);
    for (size_t i = 0; i < p->scratch_count; i++) intact &= octet_block_is_intact(&p->scratch[i]);
    if (!intact) snprintf(message, size, "written beside packed weights or scratch");
    return intact;
}

uint64_t octet_problem_digest(const octet_problem *p) {
    uint64_t hash = digest_start;
    for (size_t i = 0; i < p->buffer_count; i++) {
        const octet_buffer *b = &p->buffers[i];
        if (!b->output) continue;
        if (b->type != octet_f32) {
            hash = digest(hash, b->block.data, b->block.size);
            continue;
        }
        for (size_t j = 0, count = buffer_count_of(b); j < count; j++) {
            const float x = ((const float *)b->block.data)[j];
            const float canonical = x == 0 ? 0 : x;
            const uint32_t nan = 0x7FC00000;
            hash = digest(hash, x == x ? (const void *)&canonical : &nan, sizeof canonical);
        }
    }
    return hash;
}
