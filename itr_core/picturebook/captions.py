"""Five captions of a scene, from terse to full: each a meaning and one of the many ways to say it in English.

Every caption is true of its scene. They spread over the length buckets of Fig. 5 of AsCL (<= 8, 9-10,
11-12, 13-15, > 15 words): 1 names one thing ("a dog"), 2 is what people type into a search box ("red car
beach night"), 3 is a short sentence, 4 one of middle length, 5 tells every fact that `meaning.tellable`
counts and so nearly always picks out its scene.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from itr_core.picturebook.english import MASS, NUMBERS, Speaker, article, listed, sentence
from itr_core.picturebook.meaning import Facts, Meaning, Relation, Variable
from itr_core.picturebook.ontology import KINDS, PLACES, RELATIONS, STATES, TIMES, WEATHERS
from itr_core.picturebook.scene import Look, Scene

_ATTRIBUTES = ("colour", "pattern", "size", "state")
_SETTING = ("place", "time", "weather")
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
_SEEING = ("I can see", "we see", "you can see")
_SHOWING = (*_SEEING, "this picture shows", "the picture shows", "a picture of", "here we have")
_CLOSING = ("the scene takes place {}", "all this is seen {}", "it all happens {}")


@dataclass(frozen=True, slots=True)
class Caption:
    """What is said, and what is meant by it."""

    text: str
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class _Mention:
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


class _Telling:
    """One caption in the making: what has been said so far, and the speaker who says it."""

    def __init__(self, facts: Facts, speaker: Speaker) -> None:
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
    ) -> _Mention:
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
        return _Mention(group, text, f"the {again}", several, look.state if later else None)

    def posed(self, mention: _Mention) -> str:
        """Its text with what it is doing, if that is still to be said: "a cow lying down"."""
        return (
            f"{mention.text} {self.speaker.usual(STATES[mention.doing]['after'])}"
            if mention.doing
            else mention.text
        )

    # ---- how they stand to each other

    def relate(self, a: _Mention, b: _Mention) -> str | None:
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
        self, subject: _Mention, where: str, setting: Sequence[str], seeing: Sequence[str] = _SHOWING
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


def _terse(telling: _Telling) -> Caption:
    speaker = telling.speaker
    group = int(speaker.random() * len(telling.looks))
    kind = KINDS[telling.looks[group].kind]
    term = speaker.pick(kind.is_a[1:]) if kind.is_a[1:] and speaker.chance(0.2) else kind.name
    said = speaker.shuffled(sorted(telling.sayable(group)))[: speaker.pick((0, 0, 1, 1, 2))]
    text = telling.posed(telling.mention(group, said, term, bare=speaker.chance(0.4)))
    return telling.caption(sentence(text) if speaker.chance(0.2) else text)


def _telegraphic(telling: _Telling) -> Caption:
    speaker = telling.speaker
    groups = speaker.shuffled(range(len(telling.looks)))[: 1 + speaker.chance(0.35)]
    mentions = [telling.mention(group, telling.sayable(group, 0.45), bare=True) for group in groups]
    words = [mention.text for mention in mentions]
    if len(mentions) == 2 and telling.facts.related("on", *(telling.masks[g] for g in groups)):
        telling.relate(*mentions)
        words = [f"{words[0]} on {words[1]}"]
    words += [
        telling.set(name, bare=True)
        for name, share in zip(_SETTING, (0.75, 0.5, 0.25), strict=True)
        if speaker.chance(share)
    ]
    return telling.caption(" ".join(speaker.shuffled(words) if speaker.chance(0.25) else words))


def _short(telling: _Telling) -> Caption:
    speaker = telling.speaker
    groups = speaker.shuffled(range(len(telling.looks)))[: 1 + speaker.chance(0.25)]
    return _statement(telling, groups, 0.35, fewest_words=speaker.pick((5, 6, 7, 8)))


def _medium(telling: _Telling) -> Caption:
    speaker = telling.speaker
    groups = speaker.shuffled(range(len(telling.looks)))[: speaker.pick((1, 2, 2, 2, 3))]
    return _statement(telling, groups, 0.5, fewest_words=speaker.pick((9, 11, 13)))


def _statement(telling: _Telling, groups: Sequence[int], share: float, fewest_words: int) -> Caption:
    """One sentence on the groups; place, time and weather join it, in any order, until it is long enough."""
    speaker = telling.speaker
    mentions = [telling.mention(group, telling.sayable(group, share)) for group in groups]
    subject, *others = mentions
    relation = telling.relate(subject, others[0]) if len(others) == 1 else None
    where = f"{relation} {others[0].text}" if relation else ""
    if others and not relation:
        subject = _Mention(-1, listed([telling.posed(mention) for mention in mentions]), "", subject.several)
    order = speaker.shuffled(_SETTING)
    if speaker.chance(0.6):
        order.sort(key=lambda name: name != "place")
    setting: list[str] = []
    while order and len(f"{subject.text} {where} {' '.join(setting)}".split()) + 2 < fewest_words:
        setting.append(telling.set(order.pop(0)))
    if setting and speaker.chance(0.2):
        front = setting.pop(0)
        return telling.utter(f"{front}, {telling.clause(subject, where, setting, _SEEING)}")
    return telling.utter(telling.clause(subject, where, setting))


def _full(telling: _Telling) -> Caption:
    """All there is to say of every group, a relation of each to a group named before, and the setting."""
    speaker = telling.speaker
    setting = [telling.set(name) for name in speaker.shuffled(_SETTING)]
    closing = [setting.pop() for _ in range(2) if speaker.chance(0.2)]
    front = setting.pop() if speaker.chance(0.3) else ""
    mentions: list[_Mention] = []
    clauses: list[str] = []
    for group in speaker.shuffled(range(len(telling.looks))):
        mention = telling.mention(group, telling.sayable(group))
        if mentions:
            clauses.append(_addition(telling, mention, speaker.shuffled(mentions)))
        else:
            main = telling.clause(mention, "", setting, _SEEING if front else _SHOWING)
            clauses.append(f"{front}, {main}" if front else main)
        mentions.append(mention)
    if closing:
        clauses.append(speaker.pick(_CLOSING).format(" ".join(closing)))
    text = clauses[0]
    for clause in clauses[1:]:
        text += speaker.pick((". ", ". ", "; ", ", and ")) + clause
    sentences = text.split(". ")
    if speaker.chance(0.75):
        return telling.caption(" ".join(map(sentence, sentences)))
    return telling.caption(". ".join(sentences))


def _addition(telling: _Telling, new: _Mention, known: Sequence[_Mention]) -> str:
    """A clause that places `new` by one of the `known`, rather by what is on what than anything else."""
    speaker = telling.speaker

    def on(a: _Mention, b: _Mention) -> bool:
        return telling.facts.related("on", telling.masks[a.group], telling.masks[b.group])

    for old in known:
        if on(old, new):
            return f"{old.again} {old.be} {telling.relate(old, new)} {telling.posed(new)}"
    for old in sorted(known, key=lambda old: not on(new, old)):
        if relation := telling.relate(new, old):
            where = f"{relation} {old.again}"
            if speaker.chance(0.3):
                return f"{where} {STATES[new.doing]['verb'][new.several] if new.doing else new.be} {new.text}"
            return telling.clause(new, where, (), _SEEING)
    return f"there {new.be} also {telling.posed(new)}"


def captions_of(scene: Scene) -> list[Caption]:
    """The scene's five captions: terse, telegraphic, short, medium, full. Same scene, same captions."""
    facts, speaker = Facts(scene), Speaker(np.random.default_rng([scene.seed, 5]))
    return [slot(_Telling(facts, speaker)) for slot in (_terse, _telegraphic, _short, _medium, _full)]


def plainly(meaning: Meaning) -> str:
    """Say a meaning in the plainest words, always the same: "two brown dogs behind a car in a forest"."""
    speaker = Speaker()

    def phrase(index: int) -> str:
        variable = meaning.things[index]
        several = variable.least > 1 and variable.term not in MASS
        look = Look(*(getattr(variable, name) for name in ("term", *_ATTRIBUTES)))
        said = [name for name in _ATTRIBUTES if getattr(variable, name)]
        noun = speaker.noun(variable.term, several)
        text = speaker.described(noun, look, said)
        if index in known:
            twin = any(other.term == variable.term for other in meaning.things if other is not variable)
            return f"the {text if twin else noun}"
        known.add(index)
        if variable.term in MASS or (several and not variable.most):
            return f"some {text}"
        return f"{NUMBERS[variable.least]} {text}" if variable.most else article(text)

    known: set[int] = set()
    phrases = [f"{phrase(r.a)} {RELATIONS[r.name][0]} {phrase(r.b)}" for r in meaning.relations]
    phrases += [phrase(index) for index in range(len(meaning.things)) if index not in known]
    setting = [
        meaning.place and PLACES[meaning.place].words[0],
        meaning.time and TIMES[meaning.time]["words"][0],
        meaning.weather and WEATHERS[meaning.weather]["words"][1],  # right both outdoors and indoors
    ]
    return " ".join(filter(None, [listed(phrases) if phrases else "", *setting]))


def telegraphic(scene: Scene, rng: np.random.Generator) -> Caption:
    """What somebody might type to find the scene ("red car beach night")."""
    return _telegraphic(_Telling(Facts(scene), Speaker(rng)))


def kind_queries() -> list[Caption]:
    """One query of one word (its most usual) per kind."""
    return [Caption(kind.words[0], Meaning((Variable(name),))) for name, kind in KINDS.items()]
