#include "kind.h"

void octet_random_floats(octet_random *r, float *to, size_t count, float low, float high) {
    for (size_t i = 0; i < count; i++) to[i] = octet_random_float(r, low, high);
}

void octet_fill_activations(octet_random *r, int64_t pattern, uint8_t *to, size_t count) {
    enum { random, all255, all0, alternating, ends, small };
    for (size_t i = 0; i < count; i++) {
        switch (pattern) {
            case random:
                to[i] = (uint8_t)octet_random_next(r);
                break;
            case all255:
                to[i] = 255;
                break;
            case all0:
                to[i] = 0;
                break;
            case alternating:
                to[i] = i % 2 ? 0 : 255;
                break;
            case small:
                to[i] = (uint8_t)(octet_random_next(r) % 4);
                break;
            case ends:
                to[i] = octet_random_next(r) % 5 < 2 ? 0 : 255;
                break;
            default:
                abort();
        }
    }
}

// A number from a bell: the sum of 24 even ones has its width in the middle and no more than 12 times that at the ends.
static int64_t bell(octet_random *r) {
    int64_t sum = 0;
    for (int i = 0; i < 6; i++) {
        const uint64_t four = octet_random_next(r);
        sum += (int64_t)((four & 65535) + (four >> 16 & 65535) + (four >> 32 & 65535) + (four >> 48));
    }
    return sum - 24 * 65535 / 2;
}

static void fill_normal(octet_random *r, int8_t *to, size_t depth) {
    // Twice the same numbers: first to find the largest, then to write them in its measure.
    const octet_random start = *r;
    int64_t largest = 1;
    for (size_t i = 0; i < depth; i++) {
        const int64_t x = bell(r), size = x < 0 ? -x : x;
        largest = size > largest ? size : largest;
    }
    *r = start;
    for (size_t i = 0; i < depth; i++) {
        const int64_t x = bell(r), size = ((x < 0 ? -x : x) * 127 + largest / 2) / largest;
        to[i] = (int8_t)(x < 0 ? -size : size);
    }
}

static int8_t extreme(octet_random *r) {
    static const int8_t extremes[] = {127, -128, 127, -127};
    return extremes[octet_random_next(r) % 4];
}

void octet_fill_weights(octet_random *r, int64_t pattern, int8_t *to, size_t channels, size_t depth) {
    enum { normal, uniform, full, extremes, low, high, alternating, giant, sparse, bound, hollow, small };
    static const int8_t steps[] = {64, 32, 16, -64, -32, -16};
    for (size_t channel = 0; channel < channels; channel++, to += depth) {
        if (pattern == normal || (pattern == hollow && channel % 3 == 1)) {
            fill_normal(r, to, depth);
            continue;
        }
        for (size_t i = 0; i < depth; i++) {
            switch (pattern) {
                case uniform:
                    to[i] = (int8_t)octet_random_between(r, -127, 127);
                    break;
                case full:
                    to[i] = (int8_t)octet_random_next(r);
                    break;
                case extremes:
                    to[i] = extreme(r);
                    break;
                case low:
                    to[i] = -128;
                    break;
                case high:
                    to[i] = 127;
                    break;
                case alternating:
                    to[i] = i % 3 ? -128 : 127;
                    break;
                case giant:
                    to[i] = (int8_t)octet_random_between(r, -2, 2);
                    break;
                case sparse:
                    to[i] = octet_random_next(r) % 9 ? 0 : extreme(r);
                    break;
                case bound:
                    to[i] = octet_random_next(r) % 3 ? 0 : steps[channel % 6];
                    break;
                case hollow:
                    to[i] = 0;
                    break;
                case small:
                    to[i] = (int8_t)octet_random_between(r, -3, 3);
                    break;
                default:
                    abort();
            }
        }
        if (pattern == giant) to[channel % depth] = channel % 2 ? 127 : -128;
    }
}
