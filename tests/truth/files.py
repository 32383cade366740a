"""Text files, gzipped where their name ends in .gz."""

import contextlib
import gzip
import io


def read_text(path):
    opened = gzip.open(path, "rb") if str(path).endswith(".gz") else open(path, "rb")
    return io.TextIOWrapper(opened, encoding="utf-8", newline="")


@contextlib.contextmanager
def write_text(path):
    """Equal content gives equal bytes: the gzip header holds neither name nor time."""
    with open(path, "wb") as raw:
        binary = gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) if str(path).endswith(".gz") else raw
        with io.TextIOWrapper(binary, encoding="utf-8", newline="") as text:
            yield text
