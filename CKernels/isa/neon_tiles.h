// The shape of tiles whose products go by lanes (neon_laned.inc): 20 accumulators and five vectors of activations leave
// enough registers for weights that are on their way. (With six rows compilers run out of them.)
#undef TILES
#undef TILE_MR
#undef TILE_SHORT_MR
#undef TILE_PANELS
#undef TILE_WIDE_MR
#undef TILE_WIDE_PANELS

#define TILES(STAMP)     \
    TILES_TO_5(STAMP, 1) \
    TILES_TO_5(STAMP, 2) TILES_TO_5(STAMP, 3) TILES_TO_5(STAMP, 4) STAMP(1, 5) STAMP(1, 6) STAMP(1, 7) STAMP(1, 8)
#define TILE_MR 5
#define TILE_SHORT_MR TILE_MR
#define TILE_PANELS 4
#define TILE_WIDE_MR 1
#define TILE_WIDE_PANELS 8
