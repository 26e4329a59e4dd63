"""What reading a source left out or changed."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple


class Skipped(NamedTuple):
    """An image, line or file of a source that is not in the set, with the reason."""

    name: str
    reason: str


@dataclass
class Report:
    """Collects what is left out, and notes on what is changed, while a source is read."""

    skipped: list[Skipped] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    changes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def skip(self, name: str, reason: str) -> None:
        """Record an image, line or file that is left out."""
        self.skipped.append(Skipped(shorten(name), reason))

    def note(self, sentence: str) -> None:
        """Record a fact about the whole source, once."""
        if sentence not in self.sentences:
            self.sentences.append(sentence)

    def changed(self, change: str, place: str) -> None:
        """Record a change of one caption or line; `notes` has one sentence for each kind of change."""
        self.changes[change].append(place)

    def example(self) -> str:
        """Return a sentence on the first image or line that is left out, if there is one."""
        return f" {self.skipped[0].name}: {self.skipped[0].reason}." if self.skipped else ""

    @property
    def notes(self) -> list[str]:
        """All sentences; changes of one kind are counted, and the first three places are named."""
        counted = [f"{change}: {len(places)} ({_some(places)})." for change, places in self.changes.items()]
        return self.sentences + counted


def shorten(name: str) -> str:
    """Return at most 200 characters of a name, for messages."""
    return name if len(name) <= 200 else f"{name[:200]}..."


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
