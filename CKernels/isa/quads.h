// Words of the vocabulary for weights of 4 and 8 bits where a dot product takes four products into a lane: both are
// multiplied by quad_dot.
typedef int_vector quad_sums;
OCTET_INLINE quad_sums quad_start(void) { return int_broadcast(0); }
OCTET_INLINE int_vector quad_total(quad_sums sums) { return sums; }

typedef int_vector nibble_sums;
OCTET_INLINE nibble_sums nibble_start(void) { return int_broadcast(0); }
OCTET_INLINE int_vector nibble_total(nibble_sums sums) { return sums; }
