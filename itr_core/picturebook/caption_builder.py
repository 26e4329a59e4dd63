"""Builds one caption: mentions things, relations and setting, and records the meaning of what it states."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from itr_core.picturebook.ontology import KINDS, PLACES, RELATIONS, STATES, TIMES, WEATHERS
from itr_core.picturebook.scene import Look
from itr_core.picturebook.semantics import Meaning, Relation, SceneFacts, Variable
from itr_core.picturebook.wording import MASS, NUMBERS, WordChooser, article, sentence

SEEING = ("I can see", "we see", "you can see")
SHOWING = (*SEEING, "this picture shows", "the picture shows", "a picture of", "here we have")
SMALL_TALK = (
    "what a day",
    "so nice",
    "look at this",
    "hello there",
    "wow",
    "how lovely",
    "just look",
    "oh my",
)


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption with its meaning."""

    text: str
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class Mention:
    """A group of things as first mentioned, with its later `reference` ("the dog").

    `doing` is its state if that still has to be stated as a verb or a participle.
    """

    group: int
    text: str
    reference: str
    several: bool
    doing: str | None = None

    @property
    def be(self) -> str:
        """The matching form of "to be"."""
        return "are" if self.several else "is"


class CaptionBuilder:
    """The state of a caption under construction: variables, relations and setting stated so far."""

    def __init__(self, facts: SceneFacts, chooser: WordChooser) -> None:
        self.facts, self.scene, self.chooser = facts, facts.scene, chooser
        groups: dict[Look, int] = {}
        for i, thing in enumerate(self.scene.things):
            groups[thing.look] = groups.get(thing.look, 0) | 1 << i
        self.looks, self.masks = list(groups), list(groups.values())
        self.variables: list[Variable] = []
        self.stated_groups: list[int] = []
        self.relations: list[Relation] = []
        self.setting: dict[str, str] = {}

    def caption(self, text: str) -> Caption:
        """Return the text with the meaning recorded so far."""
        return Caption(text, Meaning(tuple(self.variables), tuple(self.relations), **self.setting))

    # ---- things

    def attributes_to_state(self, group: int, share: float = 1.0) -> set[str]:
        """Return the attributes of a group that can be stated, each with probability `share`."""
        look = self.looks[group]
        worth = {
            "colour": look.colour is not None,
            "pattern": look.pattern != "plain",
            "size": look.size != "medium",
            "state": len(KINDS[look.kind].states) > 1,
        }
        return {name for name in worth if worth[name] and self.chooser.chance(share)}

    def mention(
        self, group: int, stated: Collection[str], term: str | None = None, bare: bool = False
    ) -> Mention:
        """Mention a group with the attributes `stated`; with `bare` without articles, as in a search box."""
        look, mask, chooser = self.looks[group], self.masks[group], self.chooser
        term, stated, count = term or look.kind, set(stated), mask.bit_count()
        if look.colour and any(self.looks[other].kind == look.kind for other in self.stated_groups):
            stated.add("colour")
        if term in MASS:
            stated.discard("size")
        vague = count > 1 and chooser.chance(0.6 if bare else 0.15)
        least, most = (2, None) if vague else (count, count)
        if term in MASS or (count == 1 and not chooser.chance(0.04)):
            least, most = 1, None
        while True:
            variable = Variable(
                term, **{name: getattr(look, name) for name in stated}, least=least, most=most
            )
            if not variable.binds_all or self.facts.matching(variable) == mask:
                break
            if (
                look.colour is None or "colour" in stated
            ):  # other things match the description: mention one thing
                least, most, count = 1, None, 1
            else:
                stated.add("colour")
        self.variables.append(variable)
        self.stated_groups.append(group)

        several = count > 1 and term not in MASS
        noun = chooser.noun(term, several)
        ways = STATES[look.state] if look.state and "state" in stated else {}
        later = not bare and "after" in ways and ("before" not in ways or chooser.chance(0.7))
        phrase = chooser.described(noun, look, stated - {"state"} if later else stated, terse=bare)
        if bare:
            number = str(count) if chooser.chance(0.25) else NUMBERS[count]
            text = f"{number} {phrase}" if several and most else phrase
        elif several:
            quantity = (
                chooser.number(count) if most else chooser.pick(("some", "a few") if count > 2 else ("some",))
            )
            text = f"{quantity} {phrase}"
        elif term in MASS:
            text = f"some {phrase}"
        else:
            text = f"{chooser.pick(('one', 'a single'))} {phrase}" if most else article(phrase)
        twin = look.colour and any(other.kind == look.kind for other in self.looks if other is not look)
        reference = chooser.described(noun, look, ["colour"], terse=True) if twin else noun
        return Mention(group, text, f"the {reference}", several, look.state if later else None)

    def with_state(self, mention: Mention) -> str:
        """Return its text with its state, if that still has to be stated: "a cow lying down"."""
        return (
            f"{mention.text} {self.chooser.usual(STATES[mention.doing]['after'])}"
            if mention.doing
            else mention.text
        )

    # ---- relations

    def relate(self, a: Mention, b: Mention) -> str | None:
        """State one true relation of `a` to `b` and return its words, or None if there is none."""
        names = [n for n in RELATIONS if self.facts.related(n, self.masks[a.group], self.masks[b.group])]
        if not names:
            return None
        name = "on" if "on" in names else self.chooser.pick(names)
        self.relations.append(
            Relation(name, self.stated_groups.index(a.group), self.stated_groups.index(b.group))
        )
        return self.chooser.usual(RELATIONS[name])

    # ---- place, time, weather

    def set(self, name: str, bare: bool = False) -> str:
        """State the place, the time or the weather and return its words."""
        value = self.setting[name] = getattr(self.scene, name)
        words: Sequence[str] = PLACES[self.scene.place].words
        if name == "time":
            words = TIMES[value]["words"]
        elif name == "weather":
            words = WEATHERS[value]["indoors" if PLACES[self.scene.place].indoors else "words"]
        return words[-1] if bare else self.chooser.usual(words[:-1])

    # ---- sentences

    def clause(
        self, subject: Mention, where: str, setting: Sequence[str], seeing: Sequence[str] = SHOWING
    ) -> str:
        """Return a clause with `subject`, its state, `where` it is, and parts of the setting."""
        chooser, be, text = self.chooser, subject.be, subject.text
        rest, after = " ".join([where, *setting]).strip(), ""
        shapes: list[str] = []
        if subject.doing:
            ways = STATES[subject.doing]
            after = chooser.usual(ways["after"])
            shapes += [f"{text} {be} {after} {rest}", f"{text} {ways['verb'][subject.several]} {rest}"] * 2
        elif rest:
            shapes += [f"{text} {be} {chooser.pick(('shown', 'seen', 'pictured'))} {rest}"]
            shapes += [f"{text} can be seen {rest}"]
            if where or setting[0] in PLACES[self.scene.place].words:  # nothing simply "is under a clear sky"
                shapes += [f"{text} {be} {rest}"] * 2
        shapes += [f"{what} {text} {after} {rest}" for what in (f"there {be}", chooser.pick(seeing))]
        return " ".join(chooser.pick([*shapes, f"{text} {after} {rest}"]).split())

    def finish(self, text: str) -> Caption:
        """Return a sentence or a plain phrase; sometimes with small talk, which states nothing."""
        if self.chooser.chance(0.06):
            talk = self.chooser.pick(SMALL_TALK)
            text = f"{talk}, {text}" if self.chooser.chance(0.5) else f"{text}, {talk}"
        return self.caption(sentence(text) if self.chooser.chance(0.6) else text)
