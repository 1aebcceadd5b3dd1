"""What is in the headers of files and OpenCV does not report. Knows Python's standard library only.

Reads a few boxes of MP4 (ISO/IEC 14496-12) and QuickTime files, elements of Matroska (RFC 9559), and the headers of AVI
and of animated images, of any file: what is damaged is taken for not said. Nothing is read of a file's frames, and
never more than a bounded part of it.
"""

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 64 << 20
"""How much of a file is read at most: the index of ten hours takes a tenth of it."""

MOST_ITEMS = 10_000
"""How many boxes or elements are gone through at most."""


@dataclass(frozen=True)
class Container:
    """What a video file says.

    :ivar codec: the video's codec, as the container names it; empty if it is not known.
    :ivar isMirrored: it is to be shown mirrored.
    :ivar frames: how many frames it has, if that is known for certain.
    :ivar durationS: how long these take together, s.
    :ivar isCutOff: it says that it is longer than it is.
    :ivar isAvi: it is an AVI, in which times are numbers of frames.
    """

    codec: str = ""
    isMirrored: bool = False
    frames: int | None = None
    durationS: float = 0.0
    isCutOff: bool = False
    isAvi: bool = False


@dataclass(frozen=True)
class ImageKind:
    """What kind of image a file is.

    :ivar name: the kind's name, if OpenCV may not be able to read it; what reads its frames may be no use then.
    :ivar isAnimated: it has several frames.
    :ivar isVideo: it is a matter of video, although OpenCV may take its first frame for a still.
    """

    name: str = ""
    isAnimated: bool = False
    isVideo: bool = False


USUAL_CODECS = ("H.264", "HEVC", "VP8", "VP9", "MPEG-4", "Motion JPEG")
"""What every OpenCV decodes that can open the decoder."""

_CODECS = {
    "AV1": ("av01", "V_AV1"),
    "HEVC": ("hvc1", "hev1", "hevc", "h265", "dvh1", "dvhe", "V_MPEGH/ISO/HEVC"),
    "H.264": ("avc1", "avc2", "avc3", "avc4", "h264", "x264", "dva1", "dvav", "V_MPEG4/ISO/AVC"),
    "H.266": ("vvc1", "vvi1", "V_MPEGI/ISO/VVC"),
    "VP8": ("vp08", "vp80", "V_VP8"),
    "VP9": ("vp09", "vp90", "V_VP9"),
    "MPEG-4": ("mp4v", "xvid", "divx", "dx50", "fmp4", "V_MPEG4/ISO/ASP", "V_MPEG4/ISO/SP"),
    "Motion JPEG": ("mjpg", "jpeg", "mjpa", "mjpb", "V_MJPEG"),
    "ProRes": ("apch", "apcn", "apcs", "apco", "ap4h", "ap4x", "V_PRORES"),
    "encrypted": ("encv", "drmi"),
}


def codecName(code: str, isKnown: bool = False) -> str:
    """A codec's usual name.

    :param code: a FOURCC or Matroska's CodecID.
    :param isKnown: give no other name than one that is known here.
    :returns: the name, the code itself if it has none here, or nothing if that cannot be shown.
    """
    for name, codes in _CODECS.items():
        if code.lower() in map(str.lower, codes):
            return name
    code = code.strip()
    return code if code.isascii() and code.isprintable() and not isKnown else ""


# Images

_BRANDS = {
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"),
    "AVIF": (b"avif", b"avis"),
}


def imageKind(path: str) -> ImageKind:
    """What kind of image a file is; nothing for most of them, and for videos.

    :raises OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(64)
        if head[4:8] == b"ftyp":
            # The major brand only: videos of phones name an image's among those they are compatible with.
            brand = head[8:12]
            for name, brands in _BRANDS.items():
                if brand in brands:
                    return ImageKind(name, isAnimated=brand == b"avis")
        elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            # Bit 1 of the flags of an extended WebP, https://developers.google.com/speed/webp/docs/riff_container
            if head[12:16] == b"VP8X" and head[20] & 2:
                return ImageKind("WebP (animated)", isAnimated=True)
        elif head[:8] == b"\x89PNG\r\n\x1a\n":
            # The name is left empty: FFmpeg plays these too.
            return ImageKind(isAnimated=_hasAnimationControl(file))
        elif head[:3] == b"GIF":
            return ImageKind(isVideo=True)  # OpenCV's reader of GIF images is not in all versions
        elif head[:3] == b"\xff\xd8\xff":
            return ImageKind(isVideo=_isMotionJpeg(file, path))
    return ImageKind()


def _hasAnimationControl(file: BinaryIO) -> bool:
    """Whether a PNG has the chunk acTL, which comes before the first image's (PNG specification, third edition)."""
    file.seek(8)
    for _item in range(MOST_ITEMS):
        header = file.read(8)
        if len(header) < 8 or header[4:] == b"IDAT":
            return False
        if header[4:] == b"acTL":
            return True
        file.seek(int.from_bytes(header[:4], "big") + 4, 1)
    return False


def _isMotionJpeg(file: BinaryIO, path: str) -> bool:
    """Whether a JPEG is followed by another one, as in raw Motion JPEG.

    Photographs may be followed by others too, which are a part of them (depth, gain maps): the segment MPF says so
    (CIPA DC-007).
    """
    if Path(path).suffix.lower() in (".mjpg", ".mjpeg"):
        return True
    file.seek(0)
    data = file.read(MOST_BYTES)
    position = 2
    for _item in range(MOST_ITEMS):
        marker = data[position : position + 2]
        if len(marker) < 2 or marker[0] != 0xFF or data[position + 4 : position + 8] == b"MPF\0":
            return False
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker[1] == 0xDA:  # what follows is the image, in which FF is followed by 0 if it is no marker
            end = data.find(b"\xff\xd9", position)
            return end >= 0 and data[end + 2 : end + 5] == b"\xff\xd8\xff"
    return False


# Videos


def read(path: str) -> Container:
    """What a video file says of itself; nothing if it cannot be read, or is of another kind."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(1 << 16)
        # Whatever a damaged file makes of its figures: nothing is said then.
        with contextlib.suppress(ValueError, IndexError, struct.error, OverflowError):
            if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"):
                return _readMp4(file, size)
            if head[:4] == b"\x1a\x45\xdf\xa3":
                return _readMatroska(file, size)
            if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
                return _readAvi(head, size)
    return Container()


def _readMp4(file: BinaryIO, size: int) -> Container:
    movie, isCutOff, isFragmented = b"", False, False
    position = 0
    for _item in range(MOST_ITEMS):
        file.seek(position)
        header = file.read(16)
        if len(header) < 8 or not header[4:8].isalnum():
            break
        length, start = int.from_bytes(header[:4], "big"), 8
        if length == 1:
            length, start = int.from_bytes(header[8:16], "big"), 16
        elif length == 0:
            length = size - position
        if length < start:
            break
        isFragmented |= header[4:8] == b"moof"
        if header[4:8] == b"moov" and not movie:
            file.seek(position + start)
            movie = file.read(min(length - start, MOST_BYTES))
        position += length
        isCutOff = position > size
    if not movie:
        return Container(isCutOff=isCutOff)
    for kind, track in _boxes(movie):
        if kind == b"trak" and _find(track, b"mdia", b"hdlr")[8:12] == b"vide":
            break
    else:
        return Container(isCutOff=isCutOff)
    codec = _find(track, b"mdia", b"minf", b"stbl", b"stsd")[12:16].decode("latin-1")
    isMirrored = _flips(_find(movie, b"mvhd"), 36) != _flips(_find(track, b"tkhd"), 40)
    frames, durationS = (None, 0.0) if isFragmented else _frames(movie, track)
    return Container(codec, isMirrored, frames, durationS, isCutOff)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The types and contents of the boxes in a box."""
    position = 0
    for _item in range(MOST_ITEMS):
        length, start = int.from_bytes(data[position : position + 4], "big"), 8
        if length == 1:
            length, start = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        if length < start or position + start > len(data):
            return
        yield data[position + 4 : position + 8], data[position + start : position + length]
        position += length


def _find(data: bytes, *kinds: bytes) -> bytes:
    """The contents of the first box of a kind in the first of another kind, and so on; empty if there is none."""
    for kind in kinds:
        data = next((content for found, content in _boxes(data) if found == kind), b"")
    return data


def _flips(header: bytes, position: int) -> bool:
    """Whether the matrix of ``mvhd`` or ``tkhd`` mirrors.

    :param position: where it stands in version 0; in version 1 it is 12 bytes further.
    """
    if not header:
        return False
    a, b, _u, c, d = struct.unpack_from(">5i", header, position + 12 * (header[0] == 1))
    return a * d - b * c < 0


def _frames(movie: bytes, track: bytes) -> tuple[int | None, float]:
    """How many frames a track has and how long they take, s; None and 0 if an edit list leaves some out."""
    sizes = _find(track, b"mdia", b"minf", b"stbl", b"stsz") or _find(track, b"mdia", b"minf", b"stbl", b"stz2")
    (frames,) = struct.unpack_from(">I", sizes, 8)
    scale, length = _duration(_find(track, b"mdia", b"mdhd"))
    if not (frames and scale):
        return None, 0.0
    edits = _find(track, b"edts", b"elst")
    if edits:
        movieScale, _length = _duration(_find(movie, b"mvhd"))
        # Entries of duration, time in the track (-1: nothing is shown) and rate.
        entry = struct.Struct(">QqI" if edits[0] == 1 else ">IiI")
        entries = entry.iter_unpack(edits[8 : 8 + (len(edits) - 8) // entry.size * entry.size])
        shown = sum(duration for duration, time, _rate in entries if time >= 0)
        if not movieScale or shown / movieScale < (1.0 - 0.5 / frames) * length / scale:
            return None, 0.0
    return frames, length / scale


def _duration(header: bytes) -> tuple[int, int]:
    """Units a second, and the duration in them, of ``mvhd`` or ``mdhd``."""
    return struct.unpack_from(">IQ" if header[0] == 1 else ">II", header, 20 if header[0] == 1 else 12)


def _readMatroska(file: BinaryIO, size: int) -> Container:
    segment, tracks, track, trackType, codecId = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0x86
    isCutOff = False
    ends = [size]  # of the elements that this one is in
    isVideo, codec = False, ""
    file.seek(0)
    for _item in range(MOST_ITEMS):
        position = file.tell()
        while len(ends) > 1 and position >= ends[-1]:
            ends.pop()
        kind, length = _variable(file, keepMarker=True), _variable(file)
        end = size if length is None else file.tell() + length
        if kind == segment:
            isCutOff = end > size
        if kind in (segment, tracks, track):
            isVideo = isVideo and kind != track
            codec = "" if kind == track else codec
            ends.append(end)
            continue
        if length is None or end > size:
            break
        if kind == trackType:
            isVideo = file.read(1) == b"\1"
        elif kind == codecId:
            codec = file.read(min(length, 64)).decode("ascii").rstrip("\0")
        if isVideo and codec:
            return Container(codec, isCutOff=isCutOff)
        file.seek(end)
    return Container(isCutOff=isCutOff)


def _variable(file: BinaryIO, keepMarker: bool = False) -> int | None:
    """The next number of variable length (RFC 8794); None if it says that it is not known.

    :raises IndexError: the file is over.
    :raises ValueError: it is none.
    """
    first = file.read(1)[0]
    length = 9 - first.bit_length()
    if length > 8:
        raise ValueError
    number = int.from_bytes(bytes([first]) + file.read(length - 1), "big")
    if keepMarker:
        return number
    unknown = (1 << 7 * length) - 1
    return None if number & unknown == unknown else number & unknown


def _readAvi(head: bytes, size: int) -> Container:
    length = int.from_bytes(head[4:8], "little")
    stream = head.find(b"vids")
    header = head.find(b"strf", stream)  # a BITMAPINFOHEADER, whose biCompression says the codec
    codec = head[header + 24 : header + 28].decode("latin-1") if 0 <= stream < header else ""
    return Container(codec, isCutOff=8 + length > size and length < 0xFFFFFFFF, isAvi=True)
