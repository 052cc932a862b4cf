"""Makes the files that the tests of OctetFormats read: what NumPy and safetensors themselves write.

Needs Python 3.11, numpy==2.4.6, safetensors==0.8.0, ml_dtypes==0.6.0; run anywhere: python make_format_fixtures.py
Writes Tests/OctetFormatsTests/Fixtures; running it again gives the same bytes.

Element i of every tensor is pattern(i) = (37 i + 11) mod 251, as the type has it: signed integers minus 125, floats
(pattern − 125) / 8, truth values pattern odd, wide integers times 1001. The tests compute the same.
"""

import gzip
import io
import pathlib
import struct
import zipfile

import ml_dtypes
import numpy as np
import safetensors.numpy
from numpy.lib import format as npy

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "OctetFormatsTests" / "Fixtures"
TYPES = ["float32", "float16", "float64", "uint8", "int8", "uint16", "int16", "int32", "int64"]
TYPES += ["uint32", "uint64", "bool"]
SHAPE = (2, 3, 4)


def tensor(dtype, shape=SHAPE):
    pattern = (37 * np.arange(int(np.prod(shape)), dtype=np.int64) + 11) % 251
    kind = np.dtype(dtype).kind
    if dtype == "bool":
        values = pattern % 2 == 1
    elif dtype == "bfloat16" or kind == "f":
        values = (pattern - 125) / 8
    elif kind == "i":
        values = (pattern - 125) * (1001 if np.dtype(dtype).itemsize >= 4 else 1)
    else:
        values = pattern * (1001 if np.dtype(dtype).itemsize >= 4 else 1)
    return values.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype).reshape(shape)


def write(name, content):
    (FIXTURES / name).write_bytes(content)


def npy_bytes(array, version=None):
    stream = io.BytesIO()
    npy.write_array(stream, array, version=version)
    return stream.getvalue()


def npz_bytes(arrays, compressed):
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


class Unseekable(io.RawIOBase):
    """A stream that a zip writer cannot go back in, so that it writes data descriptors."""

    def __init__(self):
        self.content = b""

    def writable(self):
        return True

    def write(self, data):
        self.content += bytes(data)
        return len(data)


def streamed_npz(arrays):
    stream = Unseekable()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(name + ".npy"), npy_bytes(array), zipfile.ZIP_DEFLATED)
    return stream.content


def idx_bytes(array):
    code = {"uint8": 8, "int8": 9, "int16": 0xB, "int32": 0xC, "float32": 0xD, "float64": 0xE}[array.dtype.name]
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def gzip_bytes(content, name):
    """As the program gzip does: with the file's name."""
    stream = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=stream, mtime=0) as archive:
        archive.write(content)
    return stream.getvalue()


def main():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    arrays = {dtype: tensor(dtype) for dtype in TYPES}
    edges = {"scalar": tensor("float32", ()), "empty": tensor("float32", (0, 3))}

    for dtype in TYPES:
        write(f"{dtype}.npy", npy_bytes(arrays[dtype]))
    write("version2.npy", npy_bytes(arrays["float32"], (2, 0)))
    write("version3.npy", npy_bytes(arrays["float32"], (3, 0)))
    write("scalar.npy", npy_bytes(edges["scalar"]))
    write("empty.npy", npy_bytes(edges["empty"]))
    write("fortran.npy", npy_bytes(np.asfortranarray(arrays["int16"])))
    write("fortran_float64.npy", npy_bytes(np.asfortranarray(arrays["float64"])))
    write("big_endian.npy", npy_bytes(arrays["float32"].astype(">f4")))
    write("structured.npy", npy_bytes(np.zeros(3, dtype=[("x", "<f4"), ("y", "<i4")])))

    write("stored.npz", npz_bytes(arrays | edges, compressed=False))
    write("compressed.npz", npz_bytes(arrays | edges | {"zeros": np.zeros((64, 64), np.float32)}, compressed=True))
    write("streamed.npz", streamed_npz(arrays))

    kept = {name: array for name, array in arrays.items() if name not in ("uint32", "uint64")}
    kept["bfloat16"] = tensor("bfloat16")
    write("all.safetensors", safetensors.numpy.save(kept | edges, {"note": 'quotes ", a newline \n and ü'}))
    write("unsupported.safetensors", safetensors.numpy.save({"counts": arrays["uint32"]}, None))

    for dtype in ("uint8", "int8", "int16", "int32", "float32", "float64"):
        write(f"{dtype}.idx", idx_bytes(arrays[dtype]))
    write("float64.idx.gz", gzip_bytes(idx_bytes(arrays["float64"]), "float64.idx"))
    write("uint8.idx.gz", gzip_bytes(idx_bytes(arrays["uint8"]), "uint8.idx"))


if __name__ == "__main__":
    main()
