// Counts what the whole process allocates, by wrapping glibc's malloc. Elsewhere it counts nothing.
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    size_t count, bytes;
} octet_allocations;

bool octet_can_count_allocations(void);
void octet_begin_counting_allocations(void);
octet_allocations octet_end_counting_allocations(void);
