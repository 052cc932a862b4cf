// Deflate and CRC-32 by the zlib that is installed, found when it is first needed.
//
// Packages that depend on Octet must build on machines without zlib's headers, and programs that never read a
// compressed file must run on machines without zlib. So this target does not include <zlib.h> or link -lz; it declares
// the few functions it uses itself (their ABI has been the same since zlib 1.2) and opens the library with dlopen.
#ifndef OCTET_ZLIB_H
#define OCTET_ZLIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Whether the library was found. The first call opens it; any thread may make it.
bool octet_zlib_available(void);

// Decompresses raw deflate data. 0 only if the stream ended, `from` was used up and exactly to_count bytes came out;
// otherwise zlib's error, or −100 if there is no zlib.
int octet_inflate_raw(const void *from, size_t from_count, void *to, size_t to_count);

// Decompresses the first to_count bytes (or all, if there are fewer), whatever follows them. Gives how many came out
// before the end or the first fault of the stream; 0 if there is no zlib.
size_t octet_inflate_raw_prefix(const void *from, size_t from_count, void *to, size_t to_count);

// Decompresses raw deflate data piece by piece. `from` must stay where it is until the inflater is destroyed.
typedef struct octet_inflater octet_inflater;

// NULL if there is no zlib or no memory.
octet_inflater *octet_inflater_create(const void *from, size_t from_count);

// The next to_count bytes. Gives how many came out: fewer at the end or at the first fault of the stream.
size_t octet_inflater_read(octet_inflater *inflater, void *to, size_t to_count);

// How many bytes of `from` are not read yet.
size_t octet_inflater_unread(const octet_inflater *inflater);

// Whether nothing is left: the stream ends here, and `from` with it.
bool octet_inflater_ends(octet_inflater *inflater);

void octet_inflater_destroy(octet_inflater *inflater);

// CRC-32 (the polynomial of zip and gzip) of bytes that follow on those with the checksum `crc`; 0 to begin with.
// Works without zlib too, more slowly.
uint32_t octet_crc32(uint32_t crc, const void *bytes, size_t count);

// The same without zlib.
uint32_t octet_crc32_portable(uint32_t crc, const void *bytes, size_t count);

#ifdef __cplusplus
}
#endif
#endif
