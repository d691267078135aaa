"""Opening a zip whose table of contents may be the attack: it is read whole before any entry is looked at.

Python's reader makes an object of each entry, so a file of 25 MB that holds nothing but half a million empty
ones costs hundreds of megabytes and seconds. What an archive of use holds is larger than the list of it.
"""

import os
import zipfile
from typing import BinaryIO

SHARE = 4  # the table may be this part of the file
SMALL = 2**20  # bytes; a smaller table is never refused


class _Bounded:
    """A file for zipfile, which reads the table of contents at once."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self.most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        rest = os.fstat(self._file.fileno()).st_size - self._file.tell()
        if (rest if size < 0 else min(size, rest)) > self.most:
            raise zipfile.BadZipFile("its table of contents is larger than it may be")
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
        """Close the archive and the file under it."""
        super().close()
        self._own.close()
