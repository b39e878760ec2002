"""The README's example runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[3] / "plugins/paper/README.md"


def test_the_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names = {}
    exec(example, names)
    assert names["exchange"].positions("alice")[0].symbol == "BTCUSDT"
    assert "OrderReport" in capsys.readouterr().out
