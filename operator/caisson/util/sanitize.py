"""Sanitizes text from inside a sandbox for a resource's status and for terminals."""

import re
import unicodedata

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CREDENTIALS = re.compile(r"(?<=://)[^\s/:]*:[^\s/]*(?=@)")
_ALLOWED_CONTROLS = "\n\t"


def clean(raw: bytes, limit: int) -> str:
    """Return the end of `raw` as valid UTF-8 text of at most `limit` bytes, without control characters.

    Newlines and tabs remain. Terminal escape sequences are removed as a whole. Invalid UTF-8 becomes U+FFFD. User and
    password in a URL become ***.
    """
    text = raw.decode("utf-8", errors="replace").replace("\r\n", "\n")
    text = _ESCAPE_SEQUENCE.sub("", text)
    text = "".join(c for c in text if c in _ALLOWED_CONTROLS or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co"})
    return _tail(_CREDENTIALS.sub("***", text), limit)


def clean_line(raw: bytes, limit: int) -> str:
    """Return the beginning of `raw` as one line of sanitized text of at most `limit` bytes."""
    line = " ".join(clean(raw, len(raw) * 3 + 1).split())
    return line.encode()[:limit].decode("utf-8", errors="ignore")


def _tail(text: str, limit: int) -> str:
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    # A cut inside a character leaves continuation bytes, which are dropped.
    return encoded[-limit:].decode("utf-8", errors="ignore")
