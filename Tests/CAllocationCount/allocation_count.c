#include "allocation_count.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

static _Thread_local octet_allocations counted;
static _Thread_local size_t large_size;
static _Thread_local ptrdiff_t live;

void octet_count_allocations(size_t large) {
    counted = (octet_allocations){0, 0, 0};
    live = 0;
    large_size = large;
}

octet_allocations octet_counted_allocations(void) {
    large_size = 0;
    return counted;
}

// Sanitizers have a malloc of their own.
#if defined(__has_feature)
#define IS_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

#if defined(__GLIBC__) && !IS_SANITIZED
bool octet_can_count_allocations(void) { return true; }

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void *count(size_t bytes, void *memory) {
    if (large_size == 0) return memory;
    counted.bytes += bytes;
    counted.large += bytes >= large_size;
    live += (ptrdiff_t)malloc_usable_size(memory);
    if (live > counted.peak) counted.peak = live;
    return memory;
}

static void count_free(void *memory) {
    if (large_size != 0) live -= (ptrdiff_t)malloc_usable_size(memory);
}

void *malloc(size_t bytes) { return count(bytes, __libc_malloc(bytes)); }

void *calloc(size_t number, size_t size) { return count(number * size, __libc_calloc(number, size)); }

void *realloc(void *old, size_t bytes) {
    count_free(old);
    return count(bytes, __libc_realloc(old, bytes));
}

void *memalign(size_t alignment, size_t bytes) { return count(bytes, __libc_memalign(alignment, bytes)); }

void free(void *memory) {
    count_free(memory);
    __libc_free(memory);
}

void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void **result, size_t alignment, size_t bytes) {
    void *memory = memalign(alignment, bytes);
    if (memory == NULL) return ENOMEM;
    *result = memory;
    return 0;
}
#else
bool octet_can_count_allocations(void) { return false; }
#endif
