#include "octet_zlib.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// MARK: - What zlib.h declares

typedef struct {
    const unsigned char *next_in;
    unsigned avail_in;
    unsigned long total_in;
    unsigned char *next_out;
    unsigned avail_out;
    unsigned long total_out;
    const char *msg;
    void *state;
    void *(*zalloc)(void *, unsigned, unsigned);
    void (*zfree)(void *, void *);
    void *opaque;
    int data_type;
    unsigned long adler;
    unsigned long reserved;
} z_stream;

enum { Z_OK = 0, Z_NO_FLUSH = 0, Z_STREAM_END = 1, Z_DATA_ERROR = -3, Z_BUF_ERROR = -5, MISSING = -100 };

// inflateInit2_ compares the first digit of the version and the size of z_stream.
static const char version[] = "1.2.0";
static const int raw_deflate_window = -15;

static int (*inflate_init2)(z_stream *, int window_bits, const char *version, int stream_size);
static int (*inflate)(z_stream *, int flush);
static int (*inflate_end)(z_stream *);
static unsigned long (*library_crc32)(unsigned long, const unsigned char *, unsigned);

// MARK: - Finding it

static bool available;
static uint32_t crc_table[256];

static bool find(void *library, const char *name, void *function_pointer) {
    void *symbol = dlsym(library, name);
    memcpy(function_pointer, &symbol, sizeof symbol);
    return symbol != NULL;
}

static void prepare(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t remainder = i;
        for (int bit = 0; bit < 8; bit++) remainder = (remainder >> 1) ^ (remainder & 1 ? 0xEDB88320u : 0);
        crc_table[i] = remainder;
    }
    // Linux, Apple platforms, Android.
    static const char *const names[] = {"libz.so.1", "libz.1.dylib", "libz.so"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++) {
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    // Never closed: it serves until the process ends.
    available = library && find(library, "inflateInit2_", &inflate_init2) && find(library, "inflate", &inflate) &&
                find(library, "inflateEnd", &inflate_end) && find(library, "crc32", &library_crc32);
}

bool octet_zlib_available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    return available;
}

// MARK: - Using it

// zlib counts in unsigned int: longer inputs and outputs are handed over in pieces.
static unsigned piece(size_t remaining) { return remaining < UINT_MAX ? (unsigned)remaining : UINT_MAX; }

struct octet_inflater {
    z_stream stream;
    size_t unread;
    int status;
};

// Z_OK, or why it cannot begin.
static int begin(octet_inflater *inflater, const void *from, size_t from_count) {
    memset(inflater, 0, sizeof *inflater);
    inflater->unread = from_count;
    inflater->status = MISSING;
    if (!octet_zlib_available()) return MISSING;
    inflater->status = inflate_init2(&inflater->stream, raw_deflate_window, version, (int)sizeof inflater->stream);
    inflater->stream.next_in = from;
    return inflater->status;
}

// How many bytes came out; `status` is that of the last step.
static size_t advance(octet_inflater *inflater, void *to, size_t to_count) {
    z_stream *stream = &inflater->stream;
    size_t written = 0;
    stream->next_out = to;
    while (inflater->status == Z_OK) {
        const unsigned in = piece(inflater->unread), out = piece(to_count - written);
        stream->avail_in = in;
        stream->avail_out = out;
        inflater->status = inflate(stream, Z_NO_FLUSH);
        inflater->unread -= in - stream->avail_in;
        written += out - stream->avail_out;
        if (inflater->status == Z_OK && in == stream->avail_in && out == stream->avail_out)
            inflater->status = Z_BUF_ERROR;
    }
    return written;
}

// The status of the last step; how many bytes of `from` were left, and how many came out.
static int run(const void *from, size_t from_count, void *to, size_t to_count, size_t *unread, size_t *written) {
    octet_inflater inflater;
    *unread = from_count;
    *written = 0;
    if (begin(&inflater, from, from_count) != Z_OK) return inflater.status;
    *written = advance(&inflater, to, to_count);
    *unread = inflater.unread;
    inflate_end(&inflater.stream);
    return inflater.status;
}

octet_inflater *octet_inflater_create(const void *from, size_t from_count) {
    octet_inflater *inflater = malloc(sizeof *inflater);
    if (inflater && begin(inflater, from, from_count) != Z_OK) {
        free(inflater);
        return NULL;
    }
    return inflater;
}

size_t octet_inflater_read(octet_inflater *inflater, void *to, size_t to_count) {
    // A full target is no fault: the next one may take more.
    if (inflater->status == Z_BUF_ERROR) inflater->status = Z_OK;
    return advance(inflater, to, to_count);
}

size_t octet_inflater_unread(const octet_inflater *inflater) { return inflater->unread; }

bool octet_inflater_ends(octet_inflater *inflater) {
    // zlib may not have seen yet that the stream ends.
    unsigned char surplus;
    return octet_inflater_read(inflater, &surplus, 1) == 0 && inflater->status == Z_STREAM_END && inflater->unread == 0;
}

void octet_inflater_destroy(octet_inflater *inflater) {
    if (!inflater) return;
    inflate_end(&inflater->stream);
    free(inflater);
}

int octet_inflate_raw(const void *from, size_t from_count, void *to, size_t to_count) {
    size_t unread, written;
    const int status = run(from, from_count, to, to_count, &unread, &written);
    if (status != Z_STREAM_END) return status == Z_OK ? Z_BUF_ERROR : status;
    return unread == 0 && written == to_count ? 0 : Z_DATA_ERROR;
}

size_t octet_inflate_raw_prefix(const void *from, size_t from_count, void *to, size_t to_count) {
    size_t unread, written;
    run(from, from_count, to, to_count, &unread, &written);
    return written;
}

uint32_t octet_crc32(uint32_t crc, const void *bytes, size_t count) {
    if (!octet_zlib_available()) return octet_crc32_portable(crc, bytes, count);
    const unsigned char *next = bytes;
    while (count > 0) {
        const unsigned part = piece(count);
        crc = (uint32_t)library_crc32(crc, next, part);
        next += part;
        count -= part;
    }
    return crc;
}

uint32_t octet_crc32_portable(uint32_t crc, const void *bytes, size_t count) {
    octet_zlib_available();  // fills the table
    const unsigned char *next = bytes;
    crc = ~crc;
    for (size_t i = 0; i < count; i++) crc = crc_table[(crc ^ next[i]) & 0xFF] ^ (crc >> 8);
    return ~crc;
}
