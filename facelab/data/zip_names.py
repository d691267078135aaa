"""Names in a zip, decoded where the encoding is certain.

A zip either declares a name as UTF-8 or declares nothing; then the name is in the code page of the computer
that packed it. All names of an archive are tried in the usual code pages. A reading is plausible if every
word looks like one of its language (letters of one script, no capital after a small letter, kana or the
common ideographs). If exactly one reading is plausible, it is used; otherwise the bytes are shown as `%89`
and never used as an identity.
"""

import itertools
import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Sequence

UTF8_FLAG = 0x800
UNICODE_PATH = 0x7075  # Info-ZIP's extra field: the name in UTF-8, with a checksum of the other one
ESCAPED = re.compile("%[89A-F][0-9A-F]")  # how a byte is shown that could not be decoded


def entry_names(infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """Return the name of each entry, with forward slashes; uncertain bytes as `%89`."""
    raw = [_raw(info) for info in infos]
    unknown = [name for name in raw if isinstance(name, bytes)]
    reading = _reading(unknown)
    return [(name if isinstance(name, str) else reading(name)).replace("\\", "/") for name in raw]


def _raw(info: zipfile.ZipInfo) -> str | bytes:
    """Return the name if it is certain, else its bytes."""
    name = info.orig_filename.partition("\0")[0]
    if info.flag_bits & UTF8_FLAG or name.isascii():
        return name
    try:
        raw = name.encode("cp437")  # as zipfile has read it
    except UnicodeEncodeError:
        return name
    return _unicode_path(info.extra, raw) or raw


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and len(field) > 5 and field[1:5] == struct.pack("<L", zlib.crc32(raw)):
            try:
                return field[5:].decode("utf-8")
            except UnicodeDecodeError:
                return None
    return None


def _reading(names: list[bytes]) -> Callable[[bytes], str]:
    """Return the decoder of all names of an archive: UTF-8, the one code page that fits, or escapes."""
    if not names:
        return _escaped
    for name in names:
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            break
    else:
        return lambda name: name.decode("utf-8")
    found: dict[tuple[str, ...], str] = {}
    for codec, fits in CODE_PAGES.items():
        try:
            texts = tuple(name.decode(codec) for name in names)
        except UnicodeDecodeError:
            continue
        if all(
            fits(word)
            for text in texts
            for word in re.split(r"[\s/\\\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e]+", text)
        ):
            found[texts] = codec
    if len(found) != 1:
        return _escaped
    codec = next(iter(found.values()))
    return lambda name: name.decode(codec)


def _escaped(name: bytes) -> str:
    return "".join(chr(byte) if byte < 128 else f"%{byte:02X}" for byte in name)


def _is_latin(word: str) -> bool:
    """Return whether a word has letters with and without accents, at least as many without."""
    foreign = [c for c in word if not c.isascii()]
    plain = sum(c.isascii() and c.isalpha() for c in word)
    latin = all(unicodedata.name(c, "").startswith("LATIN") and c.isalpha() for c in foreign)
    return not foreign or (latin and len(foreign) <= plain and _cased(word))


def _is_cyrillic(word: str) -> bool:
    letters = [c for c in word if not c.isdigit()]
    return word.isascii() or (
        all(unicodedata.name(c, "").startswith("CYRILLIC") for c in letters) and _cased(word)
    )


def _cased(word: str) -> bool:
    """Return whether no capital follows a small letter."""
    return not any(a.islower() and b.isupper() for a, b in itertools.pairwise(word))


def _is_chinese(word: str) -> bool:
    """Return whether a word has ideographs of GB 2312, most of them of its first and common level."""
    pairs = [c.encode("gbk") for c in word if not (c.isascii() and c.isdigit())]
    return word.isascii() or (
        all(len(pair) == 2 and 0xB0 <= pair[0] <= 0xF7 and pair[1] >= 0xA1 for pair in pairs)
        and 2 * sum(pair[0] <= 0xD7 for pair in pairs) > len(pairs)
    )


def _only(codec: str, allowed: Callable[[int, int], bool]) -> Callable[[str], bool]:
    """Return whether a word has digits and double bytes in the part of a code page that is in common use."""

    def fits(word: str) -> bool:
        pairs = [c.encode(codec) for c in word if not (c.isascii() and c.isdigit())]
        return word.isascii() or all(len(pair) == 2 and allowed(*pair) for pair in pairs)

    return fits


CODE_PAGES = {
    "cp437": _is_latin,
    "cp850": _is_latin,
    "cp1252": _is_latin,
    "cp866": _is_cyrillic,
    "cp1251": _is_cyrillic,
    "cp932": _only("cp932", lambda lead, trail: 0x82 <= lead <= 0x9F or 0xE0 <= lead <= 0xEA),
    "gbk": _is_chinese,
    "big5": _only("big5", lambda lead, trail: 0xA4 <= lead <= 0xC6),
    "cp949": _only("cp949", lambda lead, trail: 0xB0 <= lead <= 0xC8 and trail >= 0xA1),
}
