"""A caption in the making: things are mentioned, related and set in a place, and all of it is remembered."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from itr_core.picturebook.ontology import KINDS, PLACES, RELATIONS, STATES, TIMES, WEATHERS
from itr_core.picturebook.scene import Look
from itr_core.picturebook.semantics import Meaning, Relation, SceneFacts, Variable
from itr_core.picturebook.wording import MASS, NUMBERS, WordChooser, article, sentence

SEEING = ("I can see", "we see", "you can see")
SHOWING = (*SEEING, "this picture shows", "the picture shows", "a picture of", "here we have")
_SMALL_TALK = (
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
    """What is said, and what is meant by it."""

    text: str
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class Mention:
    """A group of things as it was introduced, and how to refer to it afterwards ("the dog").

    `doing`: its state, if that is still to be said as a verb or a participle.
    """

    group: int
    text: str
    again: str
    several: bool
    doing: str | None = None

    @property
    def be(self) -> str:
        return "are" if self.several else "is"


class CaptionBuilder:
    """One caption in the making: what has been said so far, and the speaker who says it."""

    def __init__(self, facts: SceneFacts, speaker: WordChooser) -> None:
        self.facts, self.scene, self.speaker = facts, facts.scene, speaker
        groups: dict[Look, int] = {}
        for i, thing in enumerate(self.scene.things):
            groups[thing.look] = groups.get(thing.look, 0) | 1 << i
        self.looks, self.masks = list(groups), list(groups.values())
        self.variables: list[Variable] = []
        self.told: list[int] = []
        self.relations: list[Relation] = []
        self.setting: dict[str, str] = {}

    def caption(self, text: str) -> Caption:
        return Caption(text, Meaning(tuple(self.variables), tuple(self.relations), **self.setting))

    # ---- things

    def sayable(self, group: int, share: float = 1.0) -> set[str]:
        """The attributes of a group that are worth a word, each with probability `share`."""
        look = self.looks[group]
        worth = {
            "colour": look.colour is not None,
            "pattern": look.pattern != "plain",
            "size": look.size != "medium",
            "state": len(KINDS[look.kind].states) > 1,
        }
        return {name for name in worth if worth[name] and self.speaker.chance(share)}

    def mention(
        self, group: int, said: Collection[str], term: str | None = None, bare: bool = False
    ) -> Mention:
        """Introduce a group with the attributes `said`. `bare`: without articles, as in a search box."""
        look, mask, speaker = self.looks[group], self.masks[group], self.speaker
        term, said, count = term or look.kind, set(said), mask.bit_count()
        if look.colour and any(self.looks[other].kind == look.kind for other in self.told):
            said.add("colour")
        if term in MASS:
            said.discard("size")
        vague = count > 1 and speaker.chance(0.6 if bare else 0.15)
        least, most = (2, None) if vague else (count, count)
        if term in MASS or (count == 1 and not speaker.chance(0.04)):
            least, most = 1, None
        while True:
            variable = Variable(term, **{name: getattr(look, name) for name in said}, least=least, most=most)
            if not variable.binds_all or self.facts.matching(variable) == mask:
                break
            if (
                look.colour is None or "colour" in said
            ):  # others of the same description: speak of one of them
                least, most, count = 1, None, 1
            else:
                said.add("colour")
        self.variables.append(variable)
        self.told.append(group)

        several = count > 1 and term not in MASS
        noun = speaker.noun(term, several)
        ways = STATES[look.state] if look.state and "state" in said else {}
        later = not bare and "after" in ways and ("before" not in ways or speaker.chance(0.7))
        phrase = speaker.described(noun, look, said - {"state"} if later else said, terse=bare)
        if bare:
            number = str(count) if speaker.chance(0.25) else NUMBERS[count]
            text = f"{number} {phrase}" if several and most else phrase
        elif several:
            quantity = (
                speaker.number(count) if most else speaker.pick(("some", "a few") if count > 2 else ("some",))
            )
            text = f"{quantity} {phrase}"
        elif term in MASS:
            text = f"some {phrase}"
        else:
            text = f"{speaker.pick(('one', 'a single'))} {phrase}" if most else article(phrase)
        twin = look.colour and any(other.kind == look.kind for other in self.looks if other is not look)
        again = speaker.described(noun, look, ["colour"], terse=True) if twin else noun
        return Mention(group, text, f"the {again}", several, look.state if later else None)

    def posed(self, mention: Mention) -> str:
        """Its text with what it is doing, if that is still to be said: "a cow lying down"."""
        return (
            f"{mention.text} {self.speaker.usual(STATES[mention.doing]['after'])}"
            if mention.doing
            else mention.text
        )

    # ---- how they stand to each other

    def relate(self, a: Mention, b: Mention) -> str | None:
        """State one true relation of `a` to `b` and return its words; None if there is none."""
        names = [n for n in RELATIONS if self.facts.related(n, self.masks[a.group], self.masks[b.group])]
        if not names:
            return None
        name = "on" if "on" in names else self.speaker.pick(names)
        self.relations.append(Relation(name, self.told.index(a.group), self.told.index(b.group)))
        return self.speaker.usual(RELATIONS[name])

    # ---- place, time, weather

    def set(self, name: str, bare: bool = False) -> str:
        """State the place, the time or the weather and return its words."""
        value = self.setting[name] = getattr(self.scene, name)
        words: Sequence[str] = PLACES[self.scene.place].words
        if name == "time":
            words = TIMES[value]["words"]
        elif name == "weather":
            words = WEATHERS[value]["indoors" if PLACES[self.scene.place].indoors else "words"]
        return words[-1] if bare else self.speaker.usual(words[:-1])

    # ---- sentences

    def clause(
        self, subject: Mention, where: str, setting: Sequence[str], seeing: Sequence[str] = SHOWING
    ) -> str:
        """One clause on `subject`, what it is doing, `where` (beside what), and parts of the setting."""
        speaker, be, text = self.speaker, subject.be, subject.text
        rest, after = " ".join([where, *setting]).strip(), ""
        shapes: list[str] = []
        if subject.doing:
            ways = STATES[subject.doing]
            after = speaker.usual(ways["after"])
            shapes += [f"{text} {be} {after} {rest}", f"{text} {ways['verb'][subject.several]} {rest}"] * 2
        elif rest:
            shapes += [f"{text} {be} {speaker.pick(('shown', 'seen', 'pictured'))} {rest}"]
            shapes += [f"{text} can be seen {rest}"]
            if where or setting[0] in PLACES[self.scene.place].words:  # nothing simply "is under a clear sky"
                shapes += [f"{text} {be} {rest}"] * 2
        shapes += [f"{what} {text} {after} {rest}" for what in (f"there {be}", speaker.pick(seeing))]
        return " ".join(speaker.pick([*shapes, f"{text} {after} {rest}"]).split())

    def utter(self, text: str) -> Caption:
        """A proper sentence, or as people type; now and then with small talk, which states nothing."""
        if self.speaker.chance(0.06):
            talk = self.speaker.pick(_SMALL_TALK)
            text = f"{talk}, {text}" if self.speaker.chance(0.5) else f"{text}, {talk}"
        return self.caption(sentence(text) if self.speaker.chance(0.6) else text)
