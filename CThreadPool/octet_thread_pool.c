// How it works. `ticket` holds what is left to claim: the generation (which call of octet_pool_run), how many items
// there are and the next one. Whoever wants an item, caller or worker, takes it by compare-and-swap on the whole word,
// so that a worker that slept through a generation can never claim under an old one. `finished` counts items done; the
// caller returns when it reaches the total, that is, it waits for claimed items and never for a worker that has not
// woken up.
//
// Idle workers spin for a while, because the next call usually comes within microseconds, and then sleep.
#include "octet_thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    spins_before_sleep = 20000,
    spins_before_yield = 2000,
    most_threads = 1024,
    item_bits = 16,  // larger runs are done in parts
    cache_line = 64,
};
#define ITEM_MASK ((1u << item_bits) - 1)

typedef struct {
    octet_pool *pool;
    size_t index;
    pthread_t thread;
} pool_worker;

struct octet_pool {
    size_t threads;
    // What the workers watch: generation | total | next, 32 + 16 + 16 bits.
    _Alignas(cache_line) _Atomic uint64_t ticket;
    // Written before the ticket of the generation they belong to.
    void (*_Atomic work)(void *, size_t, size_t);
    void *_Atomic context;
    _Atomic size_t first;
    _Alignas(cache_line) _Atomic size_t finished;
    _Alignas(cache_line) _Atomic unsigned sleepers;
    _Atomic bool stopping;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pool_worker workers[];
};

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

static inline uint64_t generation_of(uint64_t ticket) { return ticket >> (2 * item_bits); }
static inline size_t total_of(uint64_t ticket) { return (ticket >> item_bits) & ITEM_MASK; }
static inline size_t next_of(uint64_t ticket) { return ticket & ITEM_MASK; }

// Claims and runs items of the current generation until none is left.
static void drain(octet_pool *pool, size_t worker) {
    uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    while (next_of(ticket) < total_of(ticket)) {
        // Read before the claim: if it succeeds, the ticket has not changed meanwhile and these belong to it. Once the
        // claim stands, the caller waits for this item, so nothing changes before it is done.
        void (*work)(void *, size_t, size_t) = atomic_load_explicit(&pool->work, memory_order_relaxed);
        void *context = atomic_load_explicit(&pool->context, memory_order_relaxed);
        const size_t first = atomic_load_explicit(&pool->first, memory_order_relaxed);
        if (!atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket + 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        work(context, first + next_of(ticket), worker);
        atomic_fetch_add_explicit(&pool->finished, 1, memory_order_release);
        ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    }
}

// Returns when the ticket differs from `seen`, or the pool stops.
static void wait_for_ticket(octet_pool *pool, uint64_t seen) {
    for (int i = 0; i < spins_before_sleep; i++) {
        if (generation_of(atomic_load_explicit(&pool->ticket, memory_order_acquire)) != generation_of(seen) ||
            atomic_load_explicit(&pool->stopping, memory_order_relaxed))
            return;
        pause_briefly();
    }
    // The caller publishes its ticket and then looks for sleepers; a worker counts itself as a sleeper and then looks
    // at the ticket. Both in sequentially consistent order, so one of them sees the other.
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (generation_of(atomic_load(&pool->ticket)) == generation_of(seen) && !atomic_load(&pool->stopping))
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument) {
    const pool_worker *self = argument;
    octet_pool *pool = self->pool;
    uint64_t seen = 0;
    while (!atomic_load(&pool->stopping)) {
        wait_for_ticket(pool, seen);
        seen = atomic_load_explicit(&pool->ticket, memory_order_acquire);
        drain(pool, self->index);
    }
    return NULL;
}

octet_pool *octet_pool_create(size_t threads) {
    if (threads == 0) threads = 1;
    if (threads > most_threads) threads = most_threads;
    const size_t size = sizeof(octet_pool) + (threads - 1) * sizeof(pool_worker);
    octet_pool *pool = aligned_alloc(cache_line, (size + cache_line - 1) / cache_line * cache_line);
    if (!pool) return NULL;
    pool->threads = 1;
    atomic_init(&pool->ticket, 0);
    atomic_init(&pool->work, NULL);
    atomic_init(&pool->context, NULL);
    atomic_init(&pool->first, 0);
    atomic_init(&pool->finished, 0);
    atomic_init(&pool->sleepers, 0);
    atomic_init(&pool->stopping, false);
    if (pthread_mutex_init(&pool->mutex, NULL) != 0) {
        free(pool);
        return NULL;
    }
    if (pthread_cond_init(&pool->wake, NULL) != 0) {
        pthread_mutex_destroy(&pool->mutex);
        free(pool);
        return NULL;
    }
    for (size_t i = 0; i + 1 < threads; i++) {
        pool_worker *worker = &pool->workers[i];
        *worker = (pool_worker){.pool = pool, .index = i + 1};
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) break;
        pool->threads++;
    }
    return pool;
}

void octet_pool_destroy(octet_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stopping, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (size_t i = 0; i + 1 < pool->threads; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

size_t octet_pool_threads(const octet_pool *pool) { return pool ? pool->threads : 1; }

static void run_part(octet_pool *pool, size_t first, size_t items, void (*work)(void *, size_t, size_t),
                     void *context) {
    atomic_store_explicit(&pool->work, work, memory_order_relaxed);
    atomic_store_explicit(&pool->context, context, memory_order_relaxed);
    atomic_store_explicit(&pool->first, first, memory_order_relaxed);
    atomic_store_explicit(&pool->finished, 0, memory_order_relaxed);
    const uint64_t generation = generation_of(atomic_load_explicit(&pool->ticket, memory_order_relaxed)) + 1;
    atomic_store(&pool->ticket, generation << (2 * item_bits) | (uint64_t)items << item_bits);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
    drain(pool, 0);
    // Only items that somebody is working on are missing now. On a crowded machine that somebody may have lost its
    // core.
    for (int spins = 0; atomic_load_explicit(&pool->finished, memory_order_acquire) != items; spins++) {
        if (spins < spins_before_yield) {
            pause_briefly();
        } else {
            sched_yield();
        }
    }
}

void octet_pool_run(octet_pool *pool, size_t items, void (*work)(void *, size_t, size_t), void *context) {
    if (!pool || pool->threads == 1 || items <= 1) {
        for (size_t i = 0; i < items; i++) work(context, i, 0);
        return;
    }
    for (size_t first = 0; first < items; first += ITEM_MASK) {
        const size_t left = items - first;
        run_part(pool, first, left < ITEM_MASK ? left : ITEM_MASK, work, context);
    }
}
