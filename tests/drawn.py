"""Files of images that Pillow cannot write: PNG of sixteen bits, late EXIF, any kind of TIFF."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
#: how to lay an image down so that an orientation turns it upright.
LAID = {**TURNS, 6: TURNS[8], 8: TURNS[6]}
COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}


def exif(orientation, endian="<"):
    """EXIF with nothing but an orientation."""
    head = b"II*\0" if endian == "<" else b"MM\0*"
    entry = struct.pack(endian + "HHIHH", 274, 3, 1, orientation, 0)
    return head + struct.pack(endian + "IH", 8, 1) + entry + struct.pack(endian + "I", 0)


def chunk(kind, content):
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(array, *, bits=8, before=(), after=()):
    """A PNG of (H, W[, C]) samples, whole bytes each; further chunks stand around its pixels."""
    array = array[..., None] if array.ndim == 2 else array
    height, width, channels = array.shape
    rows = array.astype(">u2" if bits == 16 else "u1")
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, COLOUR_TYPE[channels], 0, 0, 0)
    parts = [chunk(b"IHDR", header), *(chunk(*c) for c in before)]
    parts += [chunk(b"IDAT", zlib.compress(lines)), *(chunk(*c) for c in after)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def png_of_few_bits(array, bits, before=()):
    """A grey PNG of one, two or four bits."""
    height, width = array.shape
    lines = b""
    for row in array:
        text = "".join(f"{int(v):0{bits}b}" for v in row)
        text += "0" * (-len(text) % 8)
        lines += b"\0" + bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *(chunk(*c) for c in before)]
    parts += [chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(array, *, endian="<", photometric=None, extra=(), orientation=None, planes=False):
    """An uncompressed TIFF of (H, W[, C]) samples of any type."""
    array = array[..., None] if array.ndim == 2 else array
    height, width, channels = array.shape
    if photometric is None:
        photometric = 2 if channels - len(extra) == 3 else 1
    bits = array.dtype.itemsize * 8
    kind = {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    stored = np.moveaxis(array, 2, 0) if planes else array
    pixels = stored.astype(array.dtype.newbyteorder(endian)).tobytes()
    each = len(pixels) // channels
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * channels), 259: (3, [1])}
    tags |= {262: (3, [photometric]), 277: (3, [channels]), 278: (4, [height])}
    tags |= {284: (3, [2 if planes else 1]), 339: (3, [kind] * channels)}
    if extra:
        tags[338] = (3, list(extra))
    if orientation is not None:
        tags[274] = (3, [orientation])
    tags[273] = (4, [0] * (channels if planes else 1))
    tags[279] = (4, [each] * channels if planes else [len(pixels)])
    start = 8 + 2 + 12 * len(tags) + 4
    spare = sum(-(-len(v) * (2 if t == 3 else 4) // 4) * 4 for t, v in tags.values() if len(v) > 1)
    first = start + spare
    tags[273] = (4, [first + i * each for i in range(channels)] if planes else [first])
    directory, more = b"", b""
    for tag in sorted(tags):
        kind, values = tags[tag]
        content = struct.pack(endian + ("H" if kind == 3 else "I") * len(values), *values)
        content += b"\0" * (-len(content) % 4)
        if len(content) > 4:
            offset = start + len(more)
            more += content
            content = struct.pack(endian + "I", offset)
        directory += struct.pack(endian + "HHI", tag, kind, len(values)) + content
    more += b"\0" * (spare - len(more))
    head = (b"II*\0" if endian == "<" else b"MM\0*") + struct.pack(endian + "I", 8)
    count = struct.pack(endian + "H", len(tags))
    return head + count + directory + struct.pack(endian + "I", 0) + more + pixels


def saved(image, kind, **options):
    """The bytes of an image as Pillow writes it."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def grey_ramp(height, width, top=255, dtype=np.uint8):
    """Levels from 0 to `top`, no two neighbours alike."""
    return np.linspace(0, top, height * width).reshape(height, width).astype(dtype)


def image(array):
    return Image.fromarray(array)
