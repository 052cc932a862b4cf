// A small fork–join pool. The caller of octet_pool_run works too and waits only for items that somebody has claimed,
// so that a busy other core never stalls it.
#ifndef OCTET_THREAD_POOL_H
#define OCTET_THREAD_POOL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct octet_pool octet_pool;

// A pool of `threads` threads, the caller's included (so threads − 1 are started; 1,024 at most, fewer if the system
// refuses). NULL if there is no memory.
octet_pool *octet_pool_create(size_t threads);
void octet_pool_destroy(octet_pool *);
size_t octet_pool_threads(const octet_pool *);
// Calls work(context, item, worker) for every item 0 ..< items, worker 0 ..< threads (0: the caller), each worker index
// by one thread at a time, and returns when all are done. One caller at a time; a NULL pool runs everything in the
// caller.
void octet_pool_run(octet_pool *, size_t items, void (*work)(void *context, size_t item, size_t worker), void *context);

#ifdef __cplusplus
}
#endif
#endif
