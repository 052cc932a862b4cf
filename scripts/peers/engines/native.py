"""Compiled parts of the comparison: built once for each state of their sources, called through ctypes."""

import ctypes
import hashlib
import pathlib
import subprocess
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parents[1]


def build(name, command, sources, watched=()):
    """The shared library that `command` makes of `sources`; made anew only when they, or what they include, have changed."""
    digest = hashlib.sha256(" ".join(command).encode())
    for path in sorted([*sources, *watched]):
        digest.update(path.read_bytes())
    folder = pathlib.Path(tempfile.gettempdir()) / "octet-bench-peers"
    folder.mkdir(exist_ok=True)
    library = folder / f"{name}-{digest.hexdigest()[:16]}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as made:
            part = pathlib.Path(made) / "library.so"
            subprocess.run([*command, "-o", str(part)], check=True)
            part.rename(library)
    return library


def declare(library, functions):
    """functions: name → (result, arguments…)"""
    for name, (result, *arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


def pointer(array):
    return None if array is None else array.ctypes.data_as(ctypes.c_void_p)


def aligned(array):
    """The same numbers at an address that is a multiple of 64, as every engine's own memory is."""
    if array is None:
        return None
    return empty(array.shape, array.dtype, array)


def empty(shape, dtype, values=None):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    # Room behind the end: nobody may fault, whatever their vectors read.
    room = np.zeros(size + 128, np.uint8)
    start = -room.ctypes.data % 64
    result = room[start : start + size].view(dtype).reshape(shape)
    if values is not None:
        result[...] = values
    return result
