// Digests of problems, made by `driver --make-goldens`: whatever computes them, these bits come out.
#include "kind.h"

static const octet_golden goldens[] = {
#include "golden.inc"
};

const octet_golden *octet_goldens(size_t *count) {
    *count = OCTET_COUNT(goldens);
    return goldens;
}
