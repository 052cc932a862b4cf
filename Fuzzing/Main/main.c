// libFuzzer's `main` is linked where a program is linked with -sanitize=fuzzer (a program in Swift would have one of its
// own). Here stands how files are changed that say how long their parts are: most changes that do not know this break the
// lengths, and test nothing else.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

typedef struct {
    uint8_t *bytes;
    size_t size;
    size_t max_size;
} octet_file;

// Puts `count` bytes in the place of the range; false if they do not fit.
static bool replace(octet_file *file, size_t start, size_t end, const uint8_t *with, size_t count) {
    if (file->size - (end - start) + count > file->max_size) return false;
    memmove(file->bytes + start + count, file->bytes + end, file->size - end);
    memcpy(file->bytes + start, with, count);
    file->size += count - (end - start);
    return true;
}

// Changes a range; its size afterwards.
static size_t mutate(octet_file *file, size_t start, size_t end) {
    static uint8_t part[1 << 16];
    const size_t count = end - start, room = file->max_size - file->size;
    if (count > sizeof part) return count;
    memcpy(part, file->bytes + start, count);
    const size_t most = count + (room < 64 ? room : 64);
    const size_t changed = LLVMFuzzerMutate(part, count, most < sizeof part ? most : sizeof part);
    return replace(file, start, end, part, changed) ? changed : count;
}

// MARK: - safetensors: 8 bytes for the length of what begins with a brace

static bool mutate_header(octet_file *file) {
    uint64_t length;
    if (file->size < 9 || file->bytes[8] != '{') return false;
    memcpy(&length, file->bytes, 8);
    if (length > file->size - 8) return false;
    length = mutate(file, 8, 8 + (size_t)length);
    memcpy(file->bytes, &length, 8);
    return true;
}

// MARK: - Protocol buffers: fields in fields, each with its length

typedef struct {
    size_t length_start;
    size_t start;
    size_t end;
} octet_field;

static bool read_varint(const octet_file *file, size_t *position, size_t end, uint64_t *value) {
    *value = 0;
    for (int shift = 0; shift < 63 && *position < end; shift += 7) {
        const uint8_t byte = file->bytes[(*position)++];
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

static size_t write_varint(uint8_t *to, uint64_t value) {
    size_t count = 0;
    for (; value >= 0x80; value >>= 7) to[count++] = (uint8_t)(value | 0x80);
    to[count++] = (uint8_t)value;
    return count;
}

// One of the fields with a length between start and end, drawn; false if these are no fields, or none has one.
static bool draw_field(const octet_file *file, size_t start, size_t end, unsigned *random, octet_field *field) {
    unsigned seen = 0;
    size_t position = start;
    while (position < end) {
        uint64_t tag, value;
        if (!read_varint(file, &position, end, &tag) || tag >> 3 == 0) return false;
        const size_t length_start = position;
        switch (tag & 7) {
        case 0:
            if (!read_varint(file, &position, end, &value)) return false;
            break;
        case 1: position += 8; break;
        case 5: position += 4; break;
        case 2:
            if (!read_varint(file, &position, end, &value) || value > end - position) return false;
            *random = *random * 1664525u + 1013904223u;
            if ((*random >> 8) % ++seen == 0) {
                *field = (octet_field){length_start, position, position + (size_t)value};
            }
            position += (size_t)value;
            break;
        default: return false;
        }
        if (position > end) return false;
    }
    return seen > 0;
}

static bool mutate_field(octet_file *file, unsigned random) {
    enum { deepest = 12 };
    octet_field fields[deepest];
    size_t depth = 0, start = 0, end = file->size;
    while (depth < deepest && draw_field(file, start, end, &random, &fields[depth])) {
        start = fields[depth].start;
        end = fields[depth].end;
        depth++;
        random = random * 1664525u + 1013904223u;
        // Not always the innermost: messages lose and gain fields too.
        if ((random >> 8) % 8 == 0) break;
    }
    if (depth == 0) return false;
    size_t added = mutate(file, start, end) - (end - start);
    while (depth-- > 0) {
        const octet_field field = fields[depth];
        uint8_t length[10];
        const size_t count = write_varint(length, field.end - field.start + added);
        if (!replace(file, field.length_start, field.start, length, count)) return true;
        added += count - (field.start - field.length_start);
    }
    return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    octet_file file = {data, size, max_size};
    if (seed % 8 != 0 && (mutate_header(&file) || mutate_field(&file, seed))) return file.size;
    return LLVMFuzzerMutate(data, size, max_size);
}
