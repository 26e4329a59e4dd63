"""Five captions of a scene, from terse to full, each a meaning with a random wording in English.

Every caption is true of its scene. They cover the length buckets of Fig. 5 of AsCL (<= 8, 9-10, 11-12,
13-15, > 15 words): 1 names one thing ("a dog"), 2 is a typed query ("red car beach night"), 3 is a short
sentence, 4 is a sentence of medium length, 5 states all facts that `semantics.statable_facts` counts, so
that it almost always identifies its scene.
"""

from collections.abc import Sequence

import numpy as np

from itr_core.picturebook.caption_builder import SEEING, SHOWING, Caption, CaptionBuilder, Mention
from itr_core.picturebook.ontology import KINDS, PLACES, RELATIONS, STATES, TIMES, WEATHERS
from itr_core.picturebook.scene import Look, Scene
from itr_core.picturebook.semantics import ATTRIBUTES, SETTING, Meaning, SceneFacts, Variable
from itr_core.picturebook.wording import MASS, NUMBERS, WordChooser, article, listed, plural, sentence

CLOSINGS = ("the scene takes place {}", "all this is seen {}", "it all happens {}")


def _terse(builder: CaptionBuilder) -> Caption:
    chooser = builder.chooser
    group = int(chooser.random() * len(builder.looks))
    kind = KINDS[builder.looks[group].kind]
    term = chooser.pick(kind.is_a[1:]) if kind.is_a[1:] and chooser.chance(0.2) else kind.name
    stated = chooser.shuffled(sorted(builder.attributes_to_state(group)))[: chooser.pick((0, 0, 1, 1, 2))]
    text = builder.with_state(builder.mention(group, stated, term, bare=chooser.chance(0.4)))
    return builder.caption(sentence(text) if chooser.chance(0.2) else text)


def _telegraphic(builder: CaptionBuilder) -> Caption:
    chooser = builder.chooser
    groups = chooser.shuffled(range(len(builder.looks)))[: 1 + chooser.chance(0.35)]
    mentions = [
        builder.mention(group, builder.attributes_to_state(group, 0.45), bare=True) for group in groups
    ]
    words = [mention.text for mention in mentions]
    if len(mentions) == 2 and builder.facts.related("on", *(builder.masks[g] for g in groups)):
        builder.relate(*mentions)
        words = [f"{words[0]} on {words[1]}"]
    words += [
        builder.set(name, bare=True)
        for name, share in zip(SETTING, (0.75, 0.5, 0.25), strict=True)
        if chooser.chance(share)
    ]
    return builder.caption(" ".join(chooser.shuffled(words) if chooser.chance(0.25) else words))


def _short(builder: CaptionBuilder) -> Caption:
    chooser = builder.chooser
    groups = chooser.shuffled(range(len(builder.looks)))[: 1 + chooser.chance(0.25)]
    return _statement(builder, groups, 0.35, fewest_words=chooser.pick((5, 6, 7, 8)))


def _medium(builder: CaptionBuilder) -> Caption:
    chooser = builder.chooser
    groups = chooser.shuffled(range(len(builder.looks)))[: chooser.pick((1, 2, 2, 2, 3))]
    return _statement(builder, groups, 0.5, fewest_words=chooser.pick((9, 11, 13)))


def _statement(builder: CaptionBuilder, groups: Sequence[int], share: float, fewest_words: int) -> Caption:
    """Return a sentence about the groups, with place, time and weather added until it is long enough."""
    chooser = builder.chooser
    mentions = [builder.mention(group, builder.attributes_to_state(group, share)) for group in groups]
    subject, *others = mentions
    relation = builder.relate(subject, others[0]) if len(others) == 1 else None
    where = f"{relation} {others[0].text}" if relation else ""
    if others and not relation:
        subject = Mention(
            -1, listed([builder.with_state(mention) for mention in mentions]), "", subject.several
        )
    order = chooser.shuffled(SETTING)
    if chooser.chance(0.6):
        order.sort(key=lambda name: name != "place")
    setting: list[str] = []
    while order and len(f"{subject.text} {where} {' '.join(setting)}".split()) + 2 < fewest_words:
        setting.append(builder.set(order.pop(0)))
    if setting and chooser.chance(0.2):
        front = setting.pop(0)
        return builder.finish(f"{front}, {builder.clause(subject, where, setting, SEEING)}")
    return builder.finish(builder.clause(subject, where, setting))


def _full(builder: CaptionBuilder) -> Caption:
    """State all attributes of all groups, a relation of each to an earlier group, and the setting."""
    chooser = builder.chooser
    setting = [builder.set(name) for name in chooser.shuffled(SETTING)]
    closing = [setting.pop() for _ in range(2) if chooser.chance(0.2)]
    front = setting.pop() if chooser.chance(0.3) else ""
    mentions: list[Mention] = []
    clauses: list[str] = []
    for group in chooser.shuffled(range(len(builder.looks))):
        mention = builder.mention(group, builder.attributes_to_state(group))
        if mentions:
            clauses.append(_addition(builder, mention, chooser.shuffled(mentions)))
        else:
            main = builder.clause(mention, "", setting, SEEING if front else SHOWING)
            clauses.append(f"{front}, {main}" if front else main)
        mentions.append(mention)
    if closing:
        clauses.append(chooser.pick(CLOSINGS).format(" ".join(closing)))
    text = clauses[0]
    for clause in clauses[1:]:
        text += chooser.pick((". ", ". ", "; ", ", and ")) + clause
    sentences = text.split(". ")
    if chooser.chance(0.75):
        return builder.caption(" ".join(map(sentence, sentences)))
    return builder.caption(". ".join(sentences))


def _addition(builder: CaptionBuilder, new: Mention, known: Sequence[Mention]) -> str:
    """Return a clause that relates `new` to one of the `known` groups, preferably by the relation "on"."""
    chooser = builder.chooser

    def on(a: Mention, b: Mention) -> bool:
        return builder.facts.related("on", builder.masks[a.group], builder.masks[b.group])

    for old in known:
        if on(old, new):
            return f"{old.reference} {old.be} {builder.relate(old, new)} {builder.with_state(new)}"
    for old in sorted(known, key=lambda old: not on(new, old)):
        if relation := builder.relate(new, old):
            where = f"{relation} {old.reference}"
            if chooser.chance(0.3):
                return f"{where} {STATES[new.doing]['verb'][new.several] if new.doing else new.be} {new.text}"
            return builder.clause(new, where, (), SEEING)
    return f"there {new.be} also {builder.with_state(new)}"


def captions_of(scene: Scene) -> list[Caption]:
    """Return the five captions of a scene: terse, telegraphic, short, medium, full. Deterministic."""
    facts, chooser = SceneFacts(scene), WordChooser(np.random.default_rng([scene.seed, 5]))
    return [slot(CaptionBuilder(facts, chooser)) for slot in (_terse, _telegraphic, _short, _medium, _full)]


def canonical_caption(meaning: Meaning) -> str:
    """Return the fixed wording of a meaning: "two brown dogs behind a car in a forest"."""
    chooser = WordChooser()

    def phrase(index: int) -> str:
        variable = meaning.things[index]
        several = variable.least > 1 and variable.term not in MASS
        look = Look(*(getattr(variable, name) for name in ("term", *ATTRIBUTES)))
        stated = [name for name in ATTRIBUTES if getattr(variable, name)]
        noun = chooser.noun(variable.term, several)
        text = chooser.described(noun, look, stated)
        if variable.most == 0:
            return f"no {text if variable.term in MASS else plural(noun)}"
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
    """Return a typed query for the scene ("red car beach night")."""
    return _telegraphic(CaptionBuilder(SceneFacts(scene), WordChooser(rng)))


def telegraphic_queries(scenes: Sequence[Scene], count: int = 100, seed: int = 0) -> list[Caption]:
    """Return `count` typed queries, each about one of the scenes and with at least three facts."""
    rng = np.random.default_rng(seed)
    queries: list[Caption] = []
    while len(queries) < count:
        query = telegraphic(scenes[int(rng.random() * len(scenes))], rng)
        if query.meaning.fact_count() >= 3:
            queries.append(query)
    return queries


def kind_queries() -> list[Caption]:
    """Return one query per kind: its name."""
    return [Caption(name, Meaning((Variable(name),))) for name in KINDS]
