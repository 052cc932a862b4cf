"""Makes conformance.npz: some of ONNX's own tests of operators (onnx/backend/test/data/node), packed into one file.

Arrays are named `<test>/model` (the bytes of the file), `<test>/input_0`, `<test>/output_0` and so on.
They cover every operator that OctetONNX reads and ONNX tests (a test compares). They are ONNX's, under the Apache
License 2.0.
`scripts/test-conformance` runs them all.
"""

import pathlib
import sys
import zipfile

import numpy as np
import onnx
from onnx import numpy_helper

NAMES = """
    abs acosh_example add_int8 and2d argmax_default_axis_example argmin_default_axis_example asinh_example
    atanh_example attention_3d_transpose_verification attention_4d_attn_mask_3d attention_4d_attn_mask_4d_causal
    averagepool_2d_ceil averagepool_2d_precomputed_same_upper averagepool_2d_precomputed_strides
    averagepool_2d_same_lower averagepool_2d_same_upper basic_conv_without_padding batchnorm_epsilon
    batchnorm_example ceil_example celu clip_default_int8_inbounds clip_default_int8_max clip_outbounds
    concat_1d_axis_0 constant constant_pad_negative_axes constantofshape_int_shape_zero conv_with_autopad_same
    conv_with_strides_and_asymmetric_padding conv_with_strides_no_padding convtranspose_1d
    convtranspose_autopad_same convtranspose_pad convtranspose_pads cos_example cosh_example depthtospace_example
    dequantizelinear dequantizelinear_axis dequantizelinear_int16 div_example dropout_default_old edge_pad
    elu_default elu_example equal_int8 exp_example expand_dim_unchanged eyelike_without_dtype flatten_default_axis
    floor_example gather_elements_0 gather_negative_indices gathernd_example_int32 gelu_default_1 gemm_alpha
    gemm_beta gemm_default_scalar_bias globalaveragepool_precomputed globalmaxpool_precomputed greater_equal_int8
    greater_int8 group_normalization_example gru_batchwise gru_defaults gru_seq_length gru_with_initial_bias
    hardmax_one_hot hardsigmoid_default hardsigmoid_example hardswish
    identity if instancenorm_example isinf isnan l1normalization_axis_0 layer_normalization_2d_axis1
    layer_normalization_3d_axis1_epsilon layer_normalization_4d_axis3 leakyrelu_default leakyrelu_example
    less_equal_int8 less_int8 log_example logsoftmax_example_1 lppool_2d_dilations lrn_default lstm_batchwise
    lstm_defaults lstm_with_initial_bias matmul_2d max_one_input maxpool_2d_ceil_output_size_reduce_by_one
    maxpool_2d_dilations maxpool_2d_precomputed_same_upper mean_one_input min_one_input mod_uint8 mul_example mvn
    neg_example nonzero_example onehot_negative_indices or2d pow_bcast_scalar prelu_broadcast quantizelinear
    quantizelinear_blocked_symmetric quantizelinear_int16 range_float_type_positive_delta reciprocal_example
    reduce_l1_empty_set reduce_l2_empty_set reduce_log_sum_empty_set reduce_log_sum_exp_empty_set
    reduce_max_bool_inputs reduce_mean_default_axes_keepdims_random reduce_min_bool_inputs
    reduce_prod_default_axes_keepdims_random reduce_sum_empty_set_non_reduced_axis_zero
    reduce_sum_square_empty_set reflect_pad relu reshape_extended_dims reshape_one_dim reshape_reordered_all_dims
    resize_downsample_scales_cubic_antialias resize_downsample_scales_linear
    resize_downsample_scales_linear_antialias resize_downsample_sizes_nearest_not_smaller
    resize_upsample_sizes_nearest_axes_2_3 reversesequence_time rms_normalization_2d_axis1
    rotary_embedding_no_position_ids_rotary_dim round scatter_elements_with_axis scatter_with_axis scatternd
    selu_default selu_example shape_example shrink_hard sigmoid_example sign simple_rnn_defaults
    simple_rnn_with_initial_bias sin_example sinh_example size_example
    slice slice_default_steps slice_start_out_of_bounds softmax_axis_1 softmax_default_axis softmax_example
    softplus_example softsign_example spacetodepth_example split_equal_parts_1d_opset18
    split_equal_parts_default_axis_opset13 split_variable_parts_default_axis_opset18 sqrt_example
    squeeze_negative_axes sub_example sum_one_input swish tan_example tanh_example thresholdedrelu_default
    thresholdedrelu_example tile_precomputed top_k top_k_negative_axis top_k_smallest transpose_default triu_zero
    unsqueeze_negative_axes upsample_nearest where_example xor2d
    attention_4d_expanded cast_DOUBLE_to_FLOAT castlike_DOUBLE_to_FLOAT convinteger_with_padding cumsum_1d
    dynamicquantizelinear einsum_batch_matmul erf matmulinteger mish qlinearconv qlinearmatmul_3D_uint8_float32
""".split()


def tensors(folder, kind):
    for index in range(len(list(folder.glob(f"{kind}_*.pb")))):
        tensor = onnx.TensorProto.FromString((folder / f"{kind}_{index}.pb").read_bytes())
        yield f"{kind}_{index}", numpy_helper.to_array(tensor)


def main():
    root = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data" / "node"
    path = pathlib.Path(sys.argv[1]) / "conformance.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in NAMES:
            folder = root / f"test_{name}"
            arrays = {"model": np.frombuffer((folder / "model.onnx").read_bytes(), np.uint8)}
            for kind in ["input", "output"]:
                arrays |= dict(tensors(folder / "test_data_set_0", kind))
            for field, array in arrays.items():
                # A fixed date, so that the same versions give the same bytes.
                entry = zipfile.ZipInfo(f"{name}/{field}.npy")
                entry.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(entry, "w") as file:
                    np.lib.format.write_array(file, np.require(array, requirements="C"))
    print(f"{path.name}: {len(NAMES)} tests, {path.stat().st_size:,} bytes")


main()
