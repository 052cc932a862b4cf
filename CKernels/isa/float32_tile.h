// The float32 tile in terms of the float vocabulary: the same for every instruction set.
typedef float_vector float32_activations;
typedef float_vector float32_weights;
OCTET_INLINE float32_activations float32_broadcast(const void *p) {
    float one;
    memcpy(&one, p, sizeof one);
    return float_broadcast(one);
}
OCTET_INLINE float32_weights float32_load_weights(const void *p) { return float_load(p); }
OCTET_INLINE float_vector float32_dot(float_vector sum, float32_activations a, float32_weights w) {
    return float_multiply_add(sum, a, w);
}
