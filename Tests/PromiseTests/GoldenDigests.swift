extension GoldenDigestTests {
  /// By network, one for each of `parameters`.
  static let golden: [String: [UInt64]] = [
    "plain CNN": [
      0x4adbb79a4491fc99, 0xf23b7a7facf51560, 0xa07a38daf2fff73e,
      0x8e2a36804ac4c118,
    ],
    "residual": [
      0xdc5da6fa038a4be6, 0xc33b5a90b0dedc2b, 0xca17886908998052,
      0x98a4de181f240000,
    ],
    "unfused residual": [
      0x8cb79030edbc629e, 0xb4b93dc5f454d40e, 0xa8bf2af9834831b2,
      0xaa992ebb7fe178ca,
    ],
    "grouped": [
      0x68d4e06ca70fc1e9, 0x3c16c782e18c3843, 0x85f96358f936cbe3,
      0x1734714683d1b16e,
    ],
    "depthwise": [
      0xbf859c074e8c2b23, 0xd5b17f7e4038728e, 0xc3963425beb4aa55,
      0xa94b41918b675796,
    ],
    "depthwise residual": [
      0x64493afff5be5747, 0xbe493f992344e546, 0x21648ec53d606194,
      0x26a5bbe15696c4bb,
    ],
    "depth multiplier": [
      0x990be64c929720e1, 0x7fdd9c5a72611d8f, 0xc9ed98ad63890af2,
      0x3d1d14ce699573c,
    ],
    "patches": [
      0xa098e124d7fcbccb, 0x1e009cd5671eca2e, 0x8dda8523528997e6,
      0x854e1377344c4183,
    ],
    "dilation, strides, padding": [
      0x2e6aff4a501d6845, 0x9be948d220a917fe, 0x4878d4025df285bf,
      0xe79200681fc9d600,
    ],
    "one channel, one pixel": [
      0x8204b402e92863be, 0x5467b0da1d106495, 0x52e1cff3f2797b,
      0xcc3a8b13c68e0edb,
    ],
    "unfused pools": [
      0x6ad31f777778c5b3, 0x8c834d75bf6ddfb1, 0x2e6efb2d035869e6,
      0x404136d5b4bb3409,
    ],
    "dilated pool": [
      0x39dcd73b8ac50af5, 0x30eb0a2f8461d6aa, 0xf5419393f91be327,
      0x422e79e3cf4787e7,
    ],
    "adaptive, divisible": [
      0x8d083f53825327b3, 0xe2d22e9fb832169d, 0x6ad73c6adc9a70c9,
      0x3828cf7020982793,
    ],
    "mean": [
      0xd40486fce024407a, 0xfa7090aa76dc6956, 0x97d563b7582c333e,
      0x82020e8635be8d73,
    ],
    "mean, axes kept": [
      0xcb1ff0a9f445f97b, 0x55578fa4836a3892, 0xce86b5e111d75b18,
      0xa8ad0e02b37bbe13,
    ],
    "clip": [
      0xcb614a60598eef42, 0x1f6813dc63f350e8, 0x2d263dae2ff06984,
      0x41858e84cff088ce,
    ],
    "concat of channels": [
      0xca75aa975ba9f6f8, 0x210d6f662a09f6e2, 0x42206a40af1c2bdf,
      0x2d24b2b282ebd32d,
    ],
    "concat of rows and features": [
      0xc1fe76c5e524b37a, 0x68a24b6033ff3772, 0x12cfff656be6867e,
      0xddd57be3c8af994f,
    ],
    "concat of heights": [
      0x9d1cddfd2cba5915, 0x364962beb3c762f, 0x1a6bbe9f8119316c,
      0x5ee8ff58f27818cb,
    ],
    "transpose and reshape": [
      0xbd8c7b579c3861cc, 0xfbbffb7e369a9fcd, 0x58a7cc16a1cfa79b,
      0xcf3a13731e680423,
    ],
    "linear of rank 3": [
      0x9d3c0705c2199198, 0x6de240d3d1db469c, 0xea4ffb9c95eaa173,
      0xf1b0e322629aee55,
    ],
    "linear of rank 4": [
      0x55eaa4a163fa4f69, 0x6b1ed963c92ef582, 0x323366ffd4625bee,
      0x7ca797bc78ac9f7c,
    ],
    "two inputs, two outputs": [
      0xd0f90532827c6d22, 0x82d57d864962c3ce, 0x29fad60116a7ca4d,
      0xd56491fbf9b992cf,
    ],
    "a layer used twice": [
      0x25dbdf3868c8df1, 0xea4335f810f934db, 0xf62613708b44b082,
      0xa6fb0d442999c771,
    ],
    "signals": [
      0x69c4b60cd5621d0f, 0xb9da53346d3bee65, 0xef5e153151cd843,
      0xe21d4a3973da7fa2,
    ],
    "transposed convolutions": [
      0x217485cef251ac6d, 0x4bc2ad5cf9f88dff, 0xc6f0a70098a05617,
      0x7585e7ad50bdf2b5,
    ],
    "nearest pixels": [
      0xd44ee9b1ba15f316, 0x71f59eda57be6095, 0x355ba3a1bca6105a,
      0x7ec3d29bce2b0eb5,
    ],
    "bilinear pixels": [
      0x402de8b53542c718, 0x84f2628e45ffeab5, 0x1b464c4ec7f5957a,
      0x50e9dabda7d2b9a8,
    ],
    "tables": [
      0x627ebdcb8c269ef6, 0x8740d6f0b8f47915, 0xd729578f2542d1b0,
      0x1776ce1608b1e3a5,
    ],
    "learned slopes": [
      0xba0e4347098ebf09, 0x3d834405c3fa2688, 0x20b34146b4e48e1a,
      0x512bd7d0ac093543,
    ],
    "normalizations": [
      0x5f473855787114d1, 0xd2703cd70fe8effe, 0xedbd21ed53710ad6,
      0x15052fff4492b2d1,
    ],
    "products of activations": [
      0xe42ee0d7295036f2, 0xa51f043b9ea053c0, 0x2ccec38b39ab72ad,
      0x4f3a67561bd61006,
    ],
    "self-attention": [
      0x7c234ce65852ea73, 0xc2e9288b02864107, 0x1d0032965a8181ee,
      0x42198a88fa3b1458,
    ],
    "slices and pieces": [
      0xb89d376ff40164f, 0x924ce24b67592cfd, 0x27abdf711a09b357,
      0x8e1138e6b4b36029,
    ],
  ]
}
