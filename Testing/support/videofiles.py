"""Makes video and image files of the kinds that people have: OpenCV writes them, and their headers are changed here.

All frames are 128 x 96 px with a grey that encodes the frame's number, and a white square in the upper left corner.
"""

import itertools
import struct
from pathlib import Path

import numpy as np

SIZE = 128, 96


def image(number: int) -> np.ndarray:
    """The frame of a number, BGR."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 40 + 5 * (number % 43), np.uint8)
    pixels[8:24, 8:24] = 255
    return pixels


def number(pixels: np.ndarray) -> int:
    """Which frame it is, of the first 43."""
    return round((float(np.median(pixels)) - 38.5) / 5)  # video is up to 3 darker


def corner(pixels: np.ndarray) -> str:
    """In which corner the white square is: ``"upper left"`` and so on."""
    rows, columns = np.nonzero(pixels.max(axis=2) > 230)
    vertical = "upper" if rows.mean() < pixels.shape[0] / 2 else "lower"
    return f"{vertical} {'left' if columns.mean() < pixels.shape[1] / 2 else 'right'}"


def write(path: Path, frames: int = 40, rate: float = 30.0, codec: str = "mp4v") -> bytearray:
    """Write a clip and give back its bytes."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, SIZE)
    for index in range(frames):
        writer.write(image(index))
    writer.release()
    return bytearray(path.read_bytes())


# MP4. OpenCV writes the index (moov) behind the frames (mdat), so that its size may change.

TRACK = b"moov", b"trak"
TABLES = (*TRACK, b"mdia", b"minf", b"stbl")


def find(data: bytes, *kinds: bytes) -> tuple[int, int]:
    """Where the content of a box begins and ends, by the boxes that it is in."""
    begin, end = 0, len(data)
    for kind in kinds:
        while data[begin + 4 : begin + 8] != kind:
            assert begin < end, f"no {kind}"
            begin += int.from_bytes(data[begin : begin + 4], "big")
        begin, end = begin + 8, begin + int.from_bytes(data[begin : begin + 4], "big")
    return begin, end


def replace(data: bytearray, kinds: tuple[bytes, ...], content: bytes) -> bytearray:
    """Give a box another content, of any length."""
    begin, end = find(data, *kinds)
    starts = [find(data, *kinds[: depth + 1])[0] for depth in range(len(kinds))]
    data = data.copy()
    for start in starts:
        (length,) = struct.unpack_from(">I", data, start - 8)
        struct.pack_into(">I", data, start - 8, length + len(content) - (end - begin))
    data[begin:end] = content
    return data


def withTimes(data: bytearray, timesS: list[float]) -> bytearray:
    """With the frames at these times: the table ``stts`` has their durations."""
    (scale,) = struct.unpack_from(">I", data, find(data, *TRACK, b"mdia", b"mdhd")[0] + 12)
    durations = np.diff(np.round(np.array(timesS) * scale)).astype(int).tolist()
    entries = b"".join(struct.pack(">II", 1, duration) for duration in [*durations, durations[-1]])
    data = replace(data, (*TABLES, b"stts"), struct.pack(">II", 0, len(durations) + 1) + entries)
    struct.pack_into(">I", data, find(data, *TRACK, b"mdia", b"mdhd")[0] + 16, sum(durations) + durations[-1])
    if b"elst" in data:  # all of them are to be shown
        (scale,) = struct.unpack_from(">I", data, find(data, b"moov", b"mvhd")[0] + 12)
        struct.pack_into(">I", data, data.rfind(b"elst") + 12, round((timesS[-1] + 1.0) * scale))
    return data


def withMatrix(data: bytearray, a: int, b: int, c: int, d: int) -> bytearray:
    """To be shown with x' = a x + c y, y' = b x + d y: the matrix of ``tkhd``."""
    data = data.copy()
    struct.pack_into(">9i", data, find(data, *TRACK, b"tkhd")[0] + 40, *(
        int(value * 65536) for value in (a, b, 0, c, d, 0, 0, 0, 16384)
    ))  # fmt: skip
    return data


def withAspect(data: bytearray, width: int, height: int) -> bytearray:
    """With pixels of this shape: a box ``pasp`` in the sample entry."""
    begin, end = find(data, *TABLES, b"stsd")
    entry = data[begin + 8 : end]
    old = entry.find(b"pasp")
    if old >= 0:
        del entry[old - 4 : old + 12]
    entry += struct.pack(">I4sII", 16, b"pasp", width, height)
    struct.pack_into(">I", entry, 0, len(entry))
    return replace(data, (*TABLES, b"stsd"), bytes(data[begin : begin + 8] + entry))


def withCodec(data: bytearray, codec: bytes) -> bytearray:
    """As if it had another codec."""
    data = data.copy()
    begin = find(data, *TABLES, b"stsd")[0] + 12
    data[begin : begin + 4] = codec
    place = data.find(b"esds", begin)  # which says it once more
    if place >= 0:
        data[place : place + 4] = b"free"
    return data


def frameBytes(data: bytes) -> list[slice]:
    """Where the frames are."""
    sizes = find(data, *TABLES, b"stsz")[0]
    (count,) = struct.unpack_from(">I", data, sizes + 8)
    begins = np.cumsum([find(data, b"mdat")[0], *struct.unpack_from(f">{count}I", data, sizes + 12)]).tolist()
    return [slice(begin, end) for begin, end in itertools.pairwise(begins)]


def withBadFrames(data: bytearray, *numbers: int) -> bytearray:
    """With zeros in place of these frames."""
    data = data.copy()
    for place in (frameBytes(data)[index] for index in numbers):
        data[place] = bytes(place.stop - place.start)
    return data


def withIndexFirst(data: bytearray) -> bytearray:
    """With the index before the frames, as in files that can be played while they come through the network."""
    moov, mdat = ((begin - 8, end) for begin, end in (find(data, b"moov"), find(data, b"mdat")))
    data = data.copy()
    offsets = find(data, *TABLES, b"stco")[0]
    (count,) = struct.unpack_from(">I", data, offsets + 4)
    for place in range(offsets + 8, offsets + 8 + 4 * count, 4):
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + moov[1] - moov[0])
    return data[: mdat[0]] + data[slice(*moov)] + data[mdat[0] : moov[0]] + data[moov[1] :]


# Images


def writeAnimation(path: Path, durationsMs: list[int]) -> None:
    """Write an animated image: every fourth frame, because encoders make one of those that differ little."""
    import cv2

    animation = cv2.Animation()
    animation.frames = [cv2.cvtColor(image(4 * index), cv2.COLOR_BGR2BGRA) for index in range(len(durationsMs))]
    animation.durations = durationsMs
    assert cv2.imwriteanimation(str(path), animation)


def jpeg(index: int) -> bytes:
    """A JPEG file."""
    import cv2

    return cv2.imencode(".jpg", image(index))[1].tobytes()


def withSegment(data: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG with a further segment, behind its first two bytes."""
    return data[:2] + struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content + data[2:]


def exif(orientation: int) -> bytes:
    """The content of an APP1 segment that says an image's orientation."""
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
