// How weights become chains (conv_chain.h): bin packing, in four dimensions, of every channel by itself.
#include <string.h>

#include "conv_chain.h"

enum {
    most_row_quads = 128,
    most_links = 2 * most_row_quads,
    most_load = 128,
};
// Words for each four products: flat weights take 2.1, 2.3 where a channel has few.
static const float most_words = 2.4F;

// Four sums of 16 bits: what positive weights and what negative ones put on the first int16 lane and on the second.
typedef uint64_t chain_load;
static const chain_load each_lane = 0x0001000100010001;

static bool exceeds(chain_load load) { return (load + each_lane * (0x7FFF - most_load)) & each_lane << 15; }
static int sum_of_lanes(chain_load load) { return (int)(load * each_lane >> 48); }

typedef struct {
    chain_load load;
    uint8_t place;
    int8_t weights[4];
} chain_link;

typedef struct {
    chain_load load;
    size_t count;
    uint8_t links[octet_chain_longest];
} chain;

octet_chain_layout octet_chain_layout_make(const octet_conv_plan *plan) {
    const octet_conv_shape *s = &plan->shape;
    octet_chain_layout l = {.offset = octet_round_up(plan->panel_size * plan->group_panels * s->groups, 64)};
    l.taps = s->kernel_h * s->kernel_w;
    l.group_quads = octet_divide_up(plan->group_inputs, 4);
    l.quads = l.group_quads * l.taps;
    l.blocks = octet_divide_up(l.quads, octet_chain_block_quads);
    l.row_quads = octet_divide_up(plan->run_length, 4);
    l.row_rest = plan->run_length % 4;
    l.row_share = l.row_rest ? 4 / l.row_rest : 1;
    const size_t places = s->kernel_h * l.row_quads, spared = s->kernel_h - octet_divide_up(s->kernel_h, l.row_share);
    l.rows = plan->merged && places - spared < l.quads && places <= most_row_quads;
    if (l.rows) {
        l.quads = places;
        l.blocks = 1;
    }
    // Few channels do not make up for the panel, and few quads leave nothing to choose from.
    l.possible = plan->family->chains && plan->group_outputs >= 8 && plan->group_inputs * l.taps >= 12 &&
                 (l.rows || plan->group_inputs >= 3);
    if (!l.possible) {
        l.end = l.offset;
        return l;
    }
    l.entries = l.offset + 64;
    l.words = octet_round_up(l.entries + s->out_c * l.blocks * sizeof(octet_chain_entry), 64);
    l.most_words = (size_t)((float)(s->out_c * plan->group_inputs * l.taps) / 4 * most_words);
    l.end = octet_round_up(l.words + l.most_words * 4, 64);
    return l;
}

// MARK: - Links

static chain_load load_of(const int8_t *weights) {
    chain_load load = 0;
    for (int i = 0; i < 4; i++) {
        const chain_load size = (chain_load)(weights[i] < 0 ? -weights[i] : weights[i]);
        load += size << (i / 2 * 32 + (weights[i] < 0 ? 16 : 0));
    }
    return load;
}

// Two weights of one sign can exceed the bound (127 + 127); what is too much of the first one goes to another link.
static chain_link split(chain_link *link) {
    chain_link excess = {.place = link->place};
    for (int pair = 0; pair < 2; pair++) {
        int8_t *w = &link->weights[2 * pair];
        const int sum = w[0] + w[1];
        if ((w[0] > 0) != (w[1] > 0) || (sum <= most_load && sum >= -most_load)) continue;
        const int more = sum > 0 ? sum - most_load : sum + most_load;
        excess.weights[2 * pair] = (int8_t)more;
        w[0] = (int8_t)(w[0] - more);
    }
    link->load = load_of(link->weights);
    excess.load = load_of(excess.weights);
    return excess;
}

// Weight i of quad k of a channel, [input channel][tap]; 0 where there is none.
static int8_t weight_at(const octet_conv_plan *plan, const octet_chain_layout *l, const int8_t *weights, size_t k,
                        size_t i) {
    if (!l->rows) {
        const size_t input = k / l->taps * 4 + i;
        return input < plan->group_inputs ? weights[input * l->taps + k % l->taps] : 0;
    }
    size_t row = k / l->row_quads, place = k % l->row_quads * 4 + i;
    if (l->row_share > 1 && k % l->row_quads == l->row_quads - 1) {
        if (row % l->row_share) return 0;
        row += i / l->row_rest;
        place -= i / l->row_rest * l->row_rest;
        if (i >= l->row_share * l->row_rest || row >= plan->shape.kernel_h) return 0;
    }
    if (place >= plan->run_length) return 0;
    const size_t input = place % plan->group_inputs, column = place / plan->group_inputs;
    return weights[input * l->taps + row * plan->shape.kernel_w + column];
}

// The links of one channel's block: quads with any weight that is not zero.
static size_t make_links(const octet_conv_plan *plan, const octet_chain_layout *l, const int8_t *weights, size_t first,
                         size_t last, chain_link *links) {
    size_t count = 0;
    for (size_t k = first; k < last; k++) {
        chain_link link = {.place = (uint8_t)(k - first)};
        bool any = false;
        for (size_t i = 0; i < 4; i++) {
            link.weights[i] = weight_at(plan, l, weights, k, i);
            any |= link.weights[i] != 0;
        }
        if (!any) continue;
        link.load = load_of(link.weights);
        chain_link excess = {0};
        if (exceeds(link.load)) excess = split(&link);
        links[count++] = link;
        if (excess.load) links[count++] = excess;
    }
    return count;
}

// Heaviest lane first, then heaviest in sum: large ones must be placed while there is room beside them.
static int key_of(chain_load load) {
    int most = 0;
    for (chain_load rest = load; rest; rest >>= 16)
        if ((int)(rest & 0xFFFF) > most) most = (int)(rest & 0xFFFF);
    return 4 * most + sum_of_lanes(load);
}
static void sort(chain_link *links, size_t count) {
    int keys[most_links];
    for (size_t i = 0; i < count; i++) {
        const chain_link link = links[i];
        const int key = key_of(link.load);
        size_t j = i;
        for (; j > 0 && keys[j - 1] < key; j--) keys[j] = keys[j - 1], links[j] = links[j - 1];
        keys[j] = key;
        links[j] = link;
    }
}

// MARK: - Chains

// Best fit: each link goes into the fullest chain that still takes it.
static size_t make_chains(const chain_link *links, size_t count, chain *chains) {
    size_t used = 0, closed = 0;
    for (size_t i = 0; i < count; i++) {
        size_t best = used;
        int fullest = -1;
        for (size_t c = closed; c < used; c++) {
            if (exceeds(chains[c].load + links[i].load)) continue;
            const int full = sum_of_lanes(chains[c].load);
            if (full > fullest) fullest = full, best = c;
        }
        if (best == used) chains[used++] = (chain){0};
        chain *c = &chains[best];
        c->load += links[i].load;
        c->links[c->count++] = (uint8_t)i;
        if (c->count < octet_chain_longest) continue;
        const chain whole = *c;
        *c = chains[closed];
        chains[closed++] = whole;
    }
    return used;
}

// Writes the chains of one channel's block, the longest first.
static void write_chains(const chain *chains, size_t count, const chain_link *links, octet_chain_entry *entry,
                         char *to) {
    for (size_t length = octet_chain_longest; length > 0; length--) {
        size_t found = 0;
        for (size_t c = 0; c < count; c++) {
            if (chains[c].count != length) continue;
            found++;
            memset(to, 0, 4);
            for (size_t i = 0; i < length; i++) {
                const chain_link *link = &links[chains[c].links[i]];
                to[i] = (char)link->place;
                memcpy(to + 4 + 4 * i, link->weights, 4);
            }
            to += 4 + 4 * length;
        }
        entry->counts[length - 1] = (uint8_t)found;
    }
}

void octet_chain_pack(const octet_conv_plan *plan, const int8_t *weights, char *packed) {
    const octet_chain_layout l = octet_chain_layout_make(plan);
    if (!l.possible) return;
    octet_chain_header header = {0};
    memcpy(packed + l.offset, &header, sizeof header);
    octet_chain_entry *entries = (octet_chain_entry *)(packed + l.entries);
    const size_t out_c = plan->shape.out_c, per_channel = plan->group_inputs * l.taps;
    size_t links_used = 0, chains_used = 0;
    // In the order in which tiles read them.
    for (size_t i = 0; i < out_c * l.blocks; i++) {
        const size_t group = i / plan->group_outputs / l.blocks, block = i / plan->group_outputs % l.blocks;
        const size_t channel = group * plan->group_outputs + i % plan->group_outputs;
        chain_link links[most_links];
        chain chains[most_links];
        const size_t count = make_links(plan, &l, weights + channel * per_channel, octet_chain_block(&l, block),
                                        octet_chain_block(&l, block + 1), links);
        sort(links, count);
        const size_t chain_count = make_chains(links, count, chains), used = links_used + chains_used;
        // Too many: the header stays 0.
        if (used + count + chain_count > l.most_words) return;
        entries[i].start = (uint32_t)used;
        write_chains(chains, chain_count, links, &entries[i], packed + l.words + 4 * used);
        links_used += count;
        chains_used += chain_count;
    }
    const float products = (float)(out_c * per_channel) / 4;
    header = (octet_chain_header){(float)links_used / products, (float)chains_used / products};
    memcpy(packed + l.offset, &header, sizeof header);
}
