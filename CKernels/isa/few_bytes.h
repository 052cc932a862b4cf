// At most eight bytes, by the binary digits of their number: for instruction sets without masks for bytes.
OCTET_INLINE uint64_t load_bytes(const void *from, size_t count) {
    const uint8_t *p = from;
    uint64_t bytes = 0;
    if (count & 8) {
        memcpy(&bytes, p, 8);
        return bytes;
    }
    unsigned shift = 0;
    if (count & 4) {
        uint32_t four;
        memcpy(&four, p, 4);
        bytes = four, p += 4, shift = 32;
    }
    if (count & 2) {
        uint16_t two;
        memcpy(&two, p, 2);
        bytes |= (uint64_t)two << shift, p += 2, shift += 16;
    }
    if (count & 1) bytes |= (uint64_t)*p << shift;
    return bytes;
}
OCTET_INLINE void store_bytes(uint8_t *p, uint64_t bytes, size_t count) {
    if (count & 8) {
        memcpy(p, &bytes, 8);
        return;
    }
    if (count & 4) {
        const uint32_t four = (uint32_t)bytes;
        memcpy(p, &four, 4);
        p += 4, bytes >>= 32;
    }
    if (count & 2) {
        const uint16_t two = (uint16_t)bytes;
        memcpy(p, &two, 2);
        p += 2, bytes >>= 16;
    }
    if (count & 1) *p = (uint8_t)bytes;
}
