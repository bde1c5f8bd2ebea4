"""The package's map of its modules."""

import re
from pathlib import Path

from exporters import servicebus


def test_the_map_names_every_module_and_nothing_else() -> None:
    folder = Path(servicebus.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    text = servicebus.__doc__ or ""
    named = set(re.findall(r"^(\w+)  ", text, re.MULTILINE)) | set(re.findall(r"`(\w+)`", text))
    assert named == modules
