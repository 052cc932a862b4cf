// Counts what one thread allocates and frees: wraps glibc's malloc for the whole process. Elsewhere it counts nothing.
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    size_t bytes;
    // Allocations of at least the size that counting began with.
    size_t large;
    // The most bytes at any time that were allocated and not yet freed, by this thread since counting began.
    ptrdiff_t peak;
} octet_allocations;

bool octet_can_count_allocations(void);
// Begins to count the allocations of the calling thread.
void octet_count_allocations(size_t large);
octet_allocations octet_counted_allocations(void);
