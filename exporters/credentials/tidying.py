"""Remove the artifacts of copying from a secret that was entered or is read from a file or variable."""

_QUOTES = ('""', "''", "“”")


def tidied(text: str) -> str:
    """Return a secret without space around it and, if it is a connection string, without quotes and line breaks.

    Other secrets keep both: a certificate has lines, and a password or token may have quotes.
    """
    text = text.strip()
    joined = "".join(line.strip() for line in text.splitlines())
    if "endpoint=" not in joined.lower():
        return text
    if joined[0] + joined[-1] in _QUOTES:
        return joined[1:-1].strip()
    return joined
