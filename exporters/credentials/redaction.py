"""Remove texts that look secret, as a last safeguard in addition to careful code."""

import re

# Wherever they come from: the path of a wall page in a line about its request, a library's message, a traceback.
_SECRET = re.compile(
    r"(SharedAccessKey=|\bsig=)[^\s\"';&]+"
    r"|(\bsb[hw]_)[\w-]{16,}"  # longer than the part that names a token
    r"|(/wall/)[^\s\"'?/]+"
    r"|(Bearer )[\w.~+/-]{8,}=*"
    # gunicorn's message about an invalid request repeats the line, which may contain a password.
    r"|(Invalid HTTP (?:Header|header name|request line): )(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
)


def redacted(text: str) -> str:
    """Return the text without anything that looks secret."""
    return _SECRET.sub(lambda match: f"{match[match.lastindex or 0]}[secret]", text)
