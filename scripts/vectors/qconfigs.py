"""Makes qconfigs.safetensors: what PyTorch's default QConfigs say, for each backend, of activations and weights.

There are no tensors: everything is in the attributes.
"""

import torch
import torch.ao.quantization as quantization

from common import Family

family = Family("qconfigs")


def main():
    for backend in ["fbgemm", "x86", "onednn", "qnnpack"]:
        for kind, default in [
            ("static", quantization.get_default_qconfig),
            ("qat", quantization.get_default_qat_qconfig),
        ]:
            config = default(backend)
            for part in ["activation", "weight"]:
                add(f"{backend}_{kind}_{part}", backend, kind, part, getattr(config, part)())
    family.write()


def add(case, backend, kind, part, observer):
    # Quantization-aware training wraps the observer into a FakeQuantize.
    observer = getattr(observer, "activation_post_process", observer)
    attributes = {
        "backend": backend,
        "kind": kind,
        "part": part,
        "observer": type(observer).__name__,
        "dtype": {torch.quint8: "uint8", torch.qint8: "int8"}[observer.dtype],
        "scheme": "symmetric" if "symmetric" in str(observer.qscheme) else "affine",
        "quant_min": observer.quant_min,
        "quant_max": observer.quant_max,
        "axis": getattr(observer, "ch_axis", None),
        "bins": getattr(observer, "bins", None),
        "averaging_constant": getattr(observer, "averaging_constant", None),
    }
    family.add(case, attributes, {})


main()
