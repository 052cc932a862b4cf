// For anonymous mappings, which strict C hides.
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#include "memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Mappings are kept for the next problem, by the logarithm of their pages: making one costs more than most problems.
enum { most_sizes = 32, fence = 256 };
typedef struct free_mapping {
    struct free_mapping *next;
} free_mapping;
static free_mapping *free_mappings[most_sizes];
static pthread_mutex_t free_mappings_lock = PTHREAD_MUTEX_INITIALIZER;

static size_t page_size(void) {
    const long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (size_t)size : 4096;
}

static unsigned size_class(size_t size) {
    const size_t pages = (size + page_size() - 1) / page_size();
    unsigned c = 0;
    while (((size_t)1 << c) < pages) c++;
    return c;
}

// Emulators of instructions may read a whole vector under a mask (qemu 7.2 does): OCTET_GUARDS=distant leaves room.
static size_t distance_to_guard(void) {
    const char *guards = getenv("OCTET_GUARDS");
    return guards && strcmp(guards, "distant") == 0 ? octet_cache_line_size : 0;
}

bool octet_block_take(octet_block *block, size_t size, size_t alignment, octet_place place) {
    const size_t page = page_size(), distance = distance_to_guard();
    const unsigned c = size_class(size + alignment + distance);
    if (c >= most_sizes) return false;
    const size_t usable_size = page << c;
    pthread_mutex_lock(&free_mappings_lock);
    uint8_t *usable = (uint8_t *)free_mappings[c];
    if (usable) free_mappings[c] = free_mappings[c]->next;
    pthread_mutex_unlock(&free_mappings_lock);
    if (!usable) {
        void *mapping = mmap(NULL, usable_size + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapping == MAP_FAILED) return false;
        usable = (uint8_t *)mapping + page;
        mprotect(mapping, page, PROT_NONE);
        mprotect(usable + usable_size, page, PROT_NONE);
    }
    const size_t gap = place == octet_behind ? (usable_size - distance - size) / alignment * alignment : 0;
    *block = (octet_block){.data = usable + gap, .size = size, .usable = usable, .usable_size = usable_size};
    const size_t before = gap < fence ? gap : fence;
    const size_t rest = usable_size - gap - size, after = rest < fence ? rest : fence;
    memset(block->data - before, octet_canary, before + size + after);
    return true;
}

void octet_block_give_back(octet_block *block) {
    if (!block->usable) return;
    free_mapping *mapping = (free_mapping *)block->usable;
    const unsigned c = size_class(block->usable_size);
    pthread_mutex_lock(&free_mappings_lock);
    mapping->next = free_mappings[c];
    free_mappings[c] = mapping;
    pthread_mutex_unlock(&free_mappings_lock);
    *block = (octet_block){0};
}

static bool all_canaries(const uint8_t *from, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (from[i] != octet_canary) return false;
    return true;
}

bool octet_block_is_intact(const octet_block *block) {
    const size_t before = (size_t)(block->data - block->usable);
    const size_t after = block->usable_size - before - block->size;
    const size_t near = before < fence ? before : fence;
    return all_canaries(block->data - near, near) &&
           all_canaries(block->data + block->size, after < fence ? after : fence);
}
