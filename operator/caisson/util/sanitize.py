"""Text that comes from inside a sandbox, made fit for a resource's status and a terminal."""

import re
import unicodedata

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CREDENTIALS = re.compile(r"(?<=://)[^\s/:]*:[^\s/]*(?=@)")
_ALLOWED_CONTROLS = "\n\t"


def clean(raw: bytes, limit: int) -> str:
    """Return the end of `raw` as valid UTF-8 text of at most `limit` bytes, without control characters.

    Newlines and tabs stay; terminal escape sequences go as a whole; bytes that are no UTF-8 become U+FFFD; what stands
    in a URL as user and password becomes ***.
    """
    text = raw.decode("utf-8", errors="replace").replace("\r\n", "\n")
    text = _ESCAPE_SEQUENCE.sub("", text)
    text = "".join(c for c in text if c in _ALLOWED_CONTROLS or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co"})
    return _tail(_CREDENTIALS.sub("***", text), limit)


def clean_line(raw: bytes, limit: int) -> str:
    """Return `raw` as one line of clean text, of at most `limit` bytes, from its beginning."""
    line = " ".join(clean(raw, len(raw) * 3 + 1).split())
    return line.encode()[:limit].decode("utf-8", errors="ignore")


def _tail(text: str, limit: int) -> str:
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    # A cut in the middle of a character leaves continuation bytes, which are dropped.
    return encoded[-limit:].decode("utf-8", errors="ignore")
