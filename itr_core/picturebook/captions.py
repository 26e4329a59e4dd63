"""Five captions of a scene, from terse to full: each a meaning and one of the many ways to say it in English.

Every caption is true of its scene. They spread over the length buckets of Fig. 5 of AsCL (<= 8, 9-10,
11-12, 13-15, > 15 words): 1 names one thing ("a dog"), 2 is what people type into a search box ("red car
beach night"), 3 is a short sentence, 4 one of middle length, 5 tells every fact that `meaning.tellable`
counts and so nearly always picks out its scene.
"""

from collections.abc import Sequence

import numpy as np

from itr_core.picturebook.caption_builder import SEEING, SHOWING, Caption, CaptionBuilder, Mention
from itr_core.picturebook.ontology import KINDS, PLACES, RELATIONS, STATES, TIMES, WEATHERS
from itr_core.picturebook.scene import Look, Scene
from itr_core.picturebook.semantics import Meaning, SceneFacts, Variable
from itr_core.picturebook.wording import MASS, NUMBERS, WordChooser, article, listed, sentence

_ATTRIBUTES = ("colour", "pattern", "size", "state")
_SETTING = ("place", "time", "weather")
_CLOSING = ("the scene takes place {}", "all this is seen {}", "it all happens {}")


def _terse(telling: CaptionBuilder) -> Caption:
    speaker = telling.speaker
    group = int(speaker.random() * len(telling.looks))
    kind = KINDS[telling.looks[group].kind]
    term = speaker.pick(kind.is_a[1:]) if kind.is_a[1:] and speaker.chance(0.2) else kind.name
    said = speaker.shuffled(sorted(telling.sayable(group)))[: speaker.pick((0, 0, 1, 1, 2))]
    text = telling.posed(telling.mention(group, said, term, bare=speaker.chance(0.4)))
    return telling.caption(sentence(text) if speaker.chance(0.2) else text)


def _telegraphic(telling: CaptionBuilder) -> Caption:
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


def _short(telling: CaptionBuilder) -> Caption:
    speaker = telling.speaker
    groups = speaker.shuffled(range(len(telling.looks)))[: 1 + speaker.chance(0.25)]
    return _statement(telling, groups, 0.35, fewest_words=speaker.pick((5, 6, 7, 8)))


def _medium(telling: CaptionBuilder) -> Caption:
    speaker = telling.speaker
    groups = speaker.shuffled(range(len(telling.looks)))[: speaker.pick((1, 2, 2, 2, 3))]
    return _statement(telling, groups, 0.5, fewest_words=speaker.pick((9, 11, 13)))


def _statement(telling: CaptionBuilder, groups: Sequence[int], share: float, fewest_words: int) -> Caption:
    """One sentence on the groups; place, time and weather join it, in any order, until it is long enough."""
    speaker = telling.speaker
    mentions = [telling.mention(group, telling.sayable(group, share)) for group in groups]
    subject, *others = mentions
    relation = telling.relate(subject, others[0]) if len(others) == 1 else None
    where = f"{relation} {others[0].text}" if relation else ""
    if others and not relation:
        subject = Mention(-1, listed([telling.posed(mention) for mention in mentions]), "", subject.several)
    order = speaker.shuffled(_SETTING)
    if speaker.chance(0.6):
        order.sort(key=lambda name: name != "place")
    setting: list[str] = []
    while order and len(f"{subject.text} {where} {' '.join(setting)}".split()) + 2 < fewest_words:
        setting.append(telling.set(order.pop(0)))
    if setting and speaker.chance(0.2):
        front = setting.pop(0)
        return telling.utter(f"{front}, {telling.clause(subject, where, setting, SEEING)}")
    return telling.utter(telling.clause(subject, where, setting))


def _full(telling: CaptionBuilder) -> Caption:
    """All there is to say of every group, a relation of each to a group named before, and the setting."""
    speaker = telling.speaker
    setting = [telling.set(name) for name in speaker.shuffled(_SETTING)]
    closing = [setting.pop() for _ in range(2) if speaker.chance(0.2)]
    front = setting.pop() if speaker.chance(0.3) else ""
    mentions: list[Mention] = []
    clauses: list[str] = []
    for group in speaker.shuffled(range(len(telling.looks))):
        mention = telling.mention(group, telling.sayable(group))
        if mentions:
            clauses.append(_addition(telling, mention, speaker.shuffled(mentions)))
        else:
            main = telling.clause(mention, "", setting, SEEING if front else SHOWING)
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


def _addition(telling: CaptionBuilder, new: Mention, known: Sequence[Mention]) -> str:
    """A clause that places `new` by one of the `known`, rather by what is on what than anything else."""
    speaker = telling.speaker

    def on(a: Mention, b: Mention) -> bool:
        return telling.facts.related("on", telling.masks[a.group], telling.masks[b.group])

    for old in known:
        if on(old, new):
            return f"{old.again} {old.be} {telling.relate(old, new)} {telling.posed(new)}"
    for old in sorted(known, key=lambda old: not on(new, old)):
        if relation := telling.relate(new, old):
            where = f"{relation} {old.again}"
            if speaker.chance(0.3):
                return f"{where} {STATES[new.doing]['verb'][new.several] if new.doing else new.be} {new.text}"
            return telling.clause(new, where, (), SEEING)
    return f"there {new.be} also {telling.posed(new)}"


def captions_of(scene: Scene) -> list[Caption]:
    """The scene's five captions: terse, telegraphic, short, medium, full. Same scene, same captions."""
    facts, speaker = SceneFacts(scene), WordChooser(np.random.default_rng([scene.seed, 5]))
    return [slot(CaptionBuilder(facts, speaker)) for slot in (_terse, _telegraphic, _short, _medium, _full)]


def canonical_caption(meaning: Meaning) -> str:
    """Say a meaning in the plainest words, always the same: "two brown dogs behind a car in a forest"."""
    speaker = WordChooser()

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
    return _telegraphic(CaptionBuilder(SceneFacts(scene), WordChooser(rng)))


def telegraphic_queries(scenes: Sequence[Scene], count: int = 100, seed: int = 0) -> list[Caption]:
    """`count` queries as people type them, each about one of the scenes and of at least three facts."""
    rng = np.random.default_rng(seed)
    queries: list[Caption] = []
    while len(queries) < count:
        query = telegraphic(scenes[int(rng.random() * len(scenes))], rng)
        if query.meaning.told() >= 3:
            queries.append(query)
    return queries


def kind_queries() -> list[Caption]:
    """One query per kind: its bare name."""
    return [Caption(name, Meaning((Variable(name),))) for name in KINDS]
