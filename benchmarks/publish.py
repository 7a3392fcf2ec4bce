"""Put the table of a run into the documents, between the two comments that mark its place there."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Figures
from benchmarks.report import write_goals
from benchmarks.servers import ROOT

DOCUMENTS = (ROOT / "README.md", ROOT / "README.ja.md", ROOT / "docs" / "benchmarks.md")


def publish(
    name: str, figures: Figures, targets: Sequence[str], facts: Mapping[str, object], documents: Sequence[Path]
) -> list[Path]:
    """Renew the table called `name` in the documents that have a place for it. Returns which these are."""
    place = re.compile(rf"(?<=<!-- benchmark {re.escape(name)} -->\n).*?(?=<!-- end of benchmark -->)", re.DOTALL)
    changed = []
    for document in documents:
        japanese = document.name.endswith(".ja.md")
        table = f"{write_goals(figures, targets, japanese=japanese)}\n\n{_write_facts(facts)}\n"
        parts = place.split(document.read_text())
        if len(parts) > 1:
            document.write_text(table.join(parts))
            changed.append(document)
    return changed


def _write_facts(facts: Mapping[str, object]) -> str:
    machine = f"{facts['cpus']} × {facts['processor']}, Python {facts['python']}"
    return ", ".join(filter(None, (f"`{facts['command']}`", str(facts["date"]), machine, str(facts["versions"]))))
