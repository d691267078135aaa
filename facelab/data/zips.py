"""Safe opening of a zip: its table of contents is read and bounded before any entry is parsed.

Python's reader makes an object of each entry, so a file of 25 MB with half a million empty entries takes
hundreds of megabytes and seconds. A legitimate archive's content is larger than its table of contents.
"""

import os
import zipfile
from typing import BinaryIO

SHARE = 4  # the table may be this part of the file
SMALL = 2**20  # bytes; a smaller table is never refused


class _Bounded:
    """Limit the reads of zipfile, which reads the table of contents at once."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self.most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        rest = os.fstat(self._file.fileno()).st_size - self._file.tell()
        if (rest if size < 0 else min(size, rest)) > self.most:
            raise zipfile.BadZipFile("its table of contents is larger than allowed")
        return self._file.read(size)


class OpenZip(zipfile.ZipFile):
    """Open a zip for reading; close it, or use it in a `with` statement.

    Raises:
        zipfile.BadZipFile: not a zip, or its table of contents is out of proportion to the file.
        OSError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._own = open(path, "rb")  # noqa: SIM115  closed below
        size = os.path.getsize(path)
        bounded = _Bounded(self._own, max(size // SHARE, SMALL))
        try:
            super().__init__(bounded)
        except BaseException:
            self._own.close()
            raise
        bounded.most = size  # entries are read by what the table, now checked, says

    def close(self) -> None:
        """Close the archive and the underlying file."""
        super().close()
        self._own.close()
