// How weights become chains (conv_chain.h): bin packing, in four dimensions, of every channel by itself.
#include <string.h>

#include "conv_chain.h"

enum {
    block_links = 2 * octet_chain_most_quads,
    most_load = 128,
};
// Multiplies for each quad, those of int16 included: flat weights take 1.45.
static const float most_multiplies = 1.5F;

// Four sums of 16 bits: what positive weights and what negative ones put on the first int16 lane and on the second.
typedef uint64_t chain_load;
static const chain_load each_lane = 0x0001000100010001;

static bool exceeds(chain_load load) { return (load + each_lane * (0x7FFF - most_load)) & each_lane << 15; }

typedef struct {
    chain_load load;
    octet_chain_link link;
} chain_link;

typedef struct {
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
    l.row_full = plan->run_length / 4;
    l.row_rest = plan->run_length % 4;
    l.row_share = l.row_rest ? 4 / l.row_rest : 1;
    const size_t places = octet_chain_row_start(&l, s->kernel_h);
    l.rows = plan->merged && places < l.quads && places <= octet_chain_most_quads;
    l.paired = l.rows && places <= octet_chain_most_paired;
    if (l.rows) {
        l.quads = places;
        l.blocks = 1;
    }
    // Few channels do not make up for the panel, and few quads leave nothing to choose from.
    l.possible = plan->family->chains && plan->group_outputs >= 8 && plan->group_inputs * l.taps >= 9 &&
                 (l.rows || plan->group_inputs >= 3);
    if (!l.possible) {
        l.end = l.offset;
        return l;
    }
    l.refers = !l.rows && (plan->group_inputs % 4 == 0 || plan->taps == l.taps) &&
               s->out_c * l.quads * sizeof(octet_chain_link) > octet_chain_near_bytes;
    l.entries = l.offset + 64;
    l.links = octet_round_up(l.entries + s->out_c * l.blocks * sizeof(octet_chain_entry), 64);
    // (Of kernel rows, rests that do not fill their quad count as one; where it is channels that do not, chains are
    // slow.)
    const float quads = l.rows ? (float)l.quads : (float)(plan->group_inputs * l.taps) / 4;
    l.most_links = (size_t)((float)s->out_c * quads * most_multiplies);
    const size_t size = l.refers ? s->out_c * l.quads : l.most_links * sizeof(octet_chain_link);
    l.end = octet_round_up(l.links + size, 64);
    return l;
}

// MARK: - Links

static int larger(int a, int b) { return a > b ? a : b; }
static int smaller(int a, int b) { return a < b ? a : b; }

_Static_assert(sizeof(octet_chain_pairs) == 2 * sizeof(octet_chain_link), "int16 takes the room of two links");

// Everything that one channel has in one block.
typedef struct {
    size_t count, other_count;
    chain_link links[block_links + 1];
    octet_chain_reference others[octet_chain_most_quads];
    octet_chain_pairs pairs[octet_chain_most_paired];
} channel_links;

// Appends one quad: no link if all weights are 0, two if two weights of one sign exceed the bound (127 + 127). Then
// what is too much of the first one goes to another link, or the quad is multiplied in the other way. (Without branches
// as far as they would go either way at random.)
static void add_quad(channel_links *to, const octet_chain_layout *l, size_t place, const int8_t *weights) {
    chain_link whole = {.link.place = (uint16_t)(place * octet_chain_pitch)}, excess = whole;
    for (int pair = 0; pair < 2; pair++) {
        const int first = weights[2 * pair], second = weights[2 * pair + 1];
        const int positive = larger(first, 0) + larger(second, 0), negative = -smaller(first, 0) - smaller(second, 0);
        const int above = larger(positive - most_load, 0), below = larger(negative - most_load, 0);
        whole.link.weights[2 * pair] = (int8_t)(first - above + below);
        whole.link.weights[2 * pair + 1] = (int8_t)second;
        excess.link.weights[2 * pair] = (int8_t)(above - below);
        whole.load |= (chain_load)(positive - above) << 32 * pair | (chain_load)(negative - below) << (32 * pair + 16);
        excess.load |= (chain_load)above << 32 * pair | (chain_load)below << (32 * pair + 16);
    }
    if (l->refers) {
        to->links[to->count] = whole;
        to->count += whole.load && !excess.load;
        to->others[to->other_count] = (octet_chain_reference)place;
        to->other_count += excess.load != 0;
        return;
    }
    if (l->paired && excess.load) {
        to->pairs[to->other_count++] = (octet_chain_pairs){
            .place = (uint16_t)((l->quads + 2 * place) * octet_chain_pitch),
            .even = {weights[0], weights[2]},
            .odd = {weights[1], weights[3]},
        };
        return;
    }
    to->links[to->count] = whole;
    to->count += whole.load != 0;
    to->links[to->count] = excess;
    to->count += excess.load != 0;
}

// Where a panel, and what to_quads makes, has the channels of a quad.
static const uint8_t panel_order[] = {0, 2, 1, 3};

// Quads first ..< last of one channel's weights, [input channel][tap]; 0 where there is none.
static void make_quads(const octet_conv_plan *plan, const octet_chain_layout *l, const int8_t *weights, size_t first,
                       size_t last, int8_t (*quads)[4]) {
    const octet_conv_shape *s = &plan->shape;
    memset(quads, 0, (last - first) * sizeof *quads);
    if (!l->rows) {
        size_t tap = first / l->group_quads, input = first % l->group_quads * 4;
        for (size_t k = first; k < last; k++, quads++) {
            for (size_t i = 0; i < 4 && input + i < plan->group_inputs; i++)
                (*quads)[panel_order[i]] = weights[(input + i) * l->taps + tap];
            input += 4;
            if (input >= plan->group_inputs) input = 0, tap++;
        }
        return;
    }
    for (size_t row = 0; row < s->kernel_h; row++) {
        for (size_t i = 0; i < plan->run_length; i++) {
            const size_t input = i % plan->group_inputs, column = i / plan->group_inputs;
            // The rest of a row lies behind the first of those that share its quad.
            const size_t before = i / 4 == l->row_full ? row % l->row_share : 0;
            quads[octet_chain_row_start(l, row - before) + i / 4][before * l->row_rest + i % 4] =
                weights[input * l->taps + row * s->kernel_w + column];
        }
    }
}

// Indices of links, those with the heaviest lane first and then the heaviest in sum: large ones must be placed while
// there is room beside them. Sorted by bucket; what is in one bucket hardly differs.
static void sort(const chain_link *links, size_t count, uint8_t *order) {
    enum { buckets = 64 };
    uint8_t starts[buckets + 1] = {0}, bucket_of[block_links];
    for (size_t i = 0; i < count; i++) {
        const chain_load load = links[i].load;
        const int lanes[4] = {load & 255, load >> 16 & 255, load >> 32 & 255, load >> 48};
        const int most = larger(larger(lanes[0], lanes[1]), larger(lanes[2], lanes[3]));
        const int key = most + (lanes[0] + lanes[1] + lanes[2] + lanes[3]) / 4;
        bucket_of[i] = (uint8_t)(buckets - 1 - smaller(key * buckets / 256, buckets - 1));
        starts[bucket_of[i] + 1]++;
    }
    for (size_t i = 0; i < buckets; i++) starts[i + 1] += starts[i];
    for (size_t i = 0; i < count; i++) order[starts[bucket_of[i]]++] = (uint8_t)i;
}

// MARK: - Chains

// First fit: each link goes into the first chain that still takes it.
static size_t make_chains(const chain_link *links, size_t count, chain *chains) {
    const chain_load full = each_lane * most_load;
    uint8_t order[block_links];
    chain_load loads[block_links + 1];
    size_t used = 0, closed = 0;
    sort(links, count, order);
    for (size_t n = 0; n < count; n++) {
        const chain_load load = links[order[n]].load;
        size_t c = closed;
        loads[used] = 0;
        while (exceeds(loads[c] + load)) c++;
        if (c == used) chains[used++].count = 0;
        loads[c] += load;
        chains[c].links[chains[c].count++] = order[n];
        if (chains[c].count == octet_chain_longest) loads[c] = full;
        while (closed < used && loads[closed] == full) closed++;
    }
    return used;
}

// Links in the order of their chains, the longest first; returns how many chains there are.
static size_t order_chains(const channel_links *from, uint8_t *counts, uint8_t *order) {
    chain chains[block_links];
    const size_t count = make_chains(from->links, from->count, chains);
    for (size_t length = octet_chain_longest; length > 0; length--) {
        counts[length - 1] = 0;
        for (size_t c = 0; c < count; c++) {
            if (chains[c].count != length) continue;
            counts[length - 1]++;
            for (size_t i = 0; i < length; i++) *order++ = chains[c].links[i];
        }
    }
    return count;
}

void octet_chain_pack(const octet_conv_plan *plan, const int8_t *weights, char *packed) {
    const octet_chain_layout l = octet_chain_layout_make(plan);
    if (!l.possible) return;
    octet_chain_header header = {0};
    memcpy(packed + l.offset, &header, sizeof header);
    octet_chain_entry *entry = (octet_chain_entry *)(packed + l.entries);
    octet_chain_reference *references = (octet_chain_reference *)(packed + l.links);
    octet_chain_link *links = (octet_chain_link *)(packed + l.links);
    const size_t out_c = plan->shape.out_c, per_channel = plan->group_inputs * l.taps;
    const size_t room_of_other = l.refers ? 1 : 2;
    size_t start = 0, chain_count = 0, other_count = 0;  // so far
    // In the order in which tiles read them.
    for (size_t i = 0; i < out_c * l.blocks; i++, entry++) {
        const size_t group = i / plan->group_outputs / l.blocks, block = i / plan->group_outputs % l.blocks;
        const size_t channel = group * plan->group_outputs + i % plan->group_outputs;
        const size_t first = octet_chain_block(&l, block), last = octet_chain_block(&l, block + 1);
        int8_t quads[octet_chain_most_quads][4];
        make_quads(plan, &l, weights + channel * per_channel, first, last, quads);
        channel_links made;
        made.count = made.other_count = 0;
        for (size_t k = 0; k < last - first; k++) add_quad(&made, &l, k, quads[k]);
        // Too many: the header stays 0.
        if (start + made.count + 2 * made.other_count + (2 - room_of_other) * other_count > l.most_links) return;
        uint8_t order[block_links];
        entry->start = (uint32_t)start;
        entry->others = (uint8_t)made.other_count;
        chain_count += order_chains(&made, entry->counts, order);
        for (size_t n = 0; n < made.count; n++) {
            const octet_chain_link *link = &made.links[order[n]].link;
            if (l.refers) {
                references[start + n] = (octet_chain_reference)(link->place / octet_chain_pitch);
            } else {
                links[start + n] = *link;
            }
        }
        start += made.count;
        if (l.refers) {
            memcpy(references + start, made.others, made.other_count);
        } else {
            memcpy(links + start, made.pairs, made.other_count * sizeof *made.pairs);
        }
        start += made.other_count * room_of_other;
        other_count += made.other_count;
    }
    const float products = (float)(out_c * per_channel) / 4;
    header = (octet_chain_header){
        .links = (float)(start - other_count * room_of_other) / products,
        .chains = (float)chain_count / products,
        .others = (float)other_count / products,
    };
    memcpy(packed + l.offset, &header, sizeof header);
}
