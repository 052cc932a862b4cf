// Memory between two pages that nobody may touch.
#ifndef OCTET_PROBLEMS_MEMORY_H
#define OCTET_PROBLEMS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    octet_canary = 0xCB,  // what memory holds that nobody has written: as a float a large one, far from any result
    octet_cache_line_size = 64
};

// Where a buffer lies between its guards.
typedef enum { octet_behind, octet_front, octet_aligned } octet_place;

typedef struct {
    uint8_t *data;
    size_t size;
    // Private.
    uint8_t *usable;
    size_t usable_size;
} octet_block;

// `size` bytes filled with canaries: right before the rear guard (as far as `alignment` allows), right behind the front
// guard, or at a cache line. False: there is no memory.
bool octet_block_take(octet_block *, size_t size, size_t alignment, octet_place);
void octet_block_give_back(octet_block *);
// Whether the bytes just before and after are still canaries.
bool octet_block_is_intact(const octet_block *);

#endif
