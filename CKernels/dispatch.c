#include <string.h>

#include "include/octet_kernels.h"

extern const octet_isa octet_isa_scalar;
#if defined(__x86_64__)
extern const octet_isa octet_isa_avx512vnni, octet_isa_avxvnni, octet_isa_avx2;
#elif defined(__aarch64__)
extern const octet_isa octet_isa_neoni8mm, octet_isa_neondot, octet_isa_neon;
#endif

static const octet_isa *const all[] = {
#if defined(__x86_64__)
    &octet_isa_avx512vnni,
    &octet_isa_avxvnni,
    &octet_isa_avx2,
#elif defined(__aarch64__)
    &octet_isa_neoni8mm,
    &octet_isa_neondot,
    &octet_isa_neon,
#endif
    &octet_isa_scalar,
};
enum { all_count = sizeof all / sizeof all[0] };

const octet_isa *const *octet_isa_all(size_t *count) {
    *count = all_count;
    return all;
}

const octet_isa *octet_isa_named(const char *name) {
    for (size_t i = 0; i < all_count; i++)
        if (strcmp(all[i]->name, name) == 0) return all[i];
    return NULL;
}

const octet_isa *octet_isa_best(void) {
    size_t i = 0;
    while (!all[i]->supported()) i++;
    return all[i];
}
