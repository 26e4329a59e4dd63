"""Queries as people type them, each true of a scene, with false variants in the same wording.

A typed query states few facts: "2 brown dogs", "cat on sofa night", "beach no people", "a sleping dog". Its
false variants change one fact and keep all other words, so that only the changed fact tells them from the
query. They are the exact hard negatives of a scene.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, repeat

import numpy as np

from itr_core.picturebook.caption_builder import Caption, CaptionBuilder
from itr_core.picturebook.edits import EDITS
from itr_core.picturebook.ontology import KINDS, NOUNS, PLACES, RELATIONS, TIMES, WEATHERS
from itr_core.picturebook.scene import Look
from itr_core.picturebook.semantics import ATTRIBUTES, SETTING, Meaning, Relation, SceneFacts, Variable
from itr_core.picturebook.wording import MASS, NUMBERS, WordChooser, article, plural

QUERIES_PER_SCENE = 10
FALSE_VARIANTS = 2
_TRIES = 40
_OPENINGS = ("a picture of", "picture of", "photo of", "show me", "find", "image of")
_FALSE_EDITS = ("swap attribute", "change count", "swap relation", "swap object")


@dataclass(frozen=True, slots=True)
class TypedQuery:
    """A query that is true of its scene, and variants that are false of it."""

    query: Caption
    false: tuple[Caption, ...]


def typed_queries(
    facts: SceneFacts, rng: np.random.Generator, count: int, twin: SceneFacts | None = None
) -> list[TypedQuery]:
    """Return `count` random typed queries of a scene, each with up to `FALSE_VARIANTS` false variants.

    Args:
        facts: facts of the scene.
        rng: source of randomness.
        count: number of queries.
        twin: facts of another scene. Half of the queries are false of it, if `_TRIES` random queries each
            are enough to find them.
    """
    return [_typed_query(facts, rng, twin if i < count // 2 else None) for i in range(count)]


def _typed_query(facts: SceneFacts, rng: np.random.Generator, twin: SceneFacts | None) -> TypedQuery:
    chooser = WordChooser(rng)
    true = (meaning for _ in repeat(None) if facts.entail(meaning := _few_facts(facts, chooser)))
    meaning = next(true)
    if twin:
        meaning = next((each for each in islice(true, _TRIES) if not twin.entail(each)), meaning)
    seed = int(rng.integers(2**63))

    def worded(each: Meaning) -> Caption:
        return Caption(typed_text(each, np.random.default_rng(seed)), each)

    query = worded(meaning)
    false = (worded(each) for each in _false_meanings(facts, meaning, chooser))
    distinct = {variant.text: variant for variant in false if variant.text != query.text}
    return TypedQuery(query, tuple(distinct.values()))


# ---- what a query states


def _few_facts(facts: SceneFacts, chooser: WordChooser) -> Meaning:
    """Return a meaning with few facts of the scene; it may be false where a description fits more things."""
    scene, builder = facts.scene, CaptionBuilder(facts, chooser)
    number = 0 if chooser.chance(0.07) else 1 + chooser.chance(0.3)
    groups = chooser.shuffled(range(len(builder.looks)))[:number]
    things = tuple(_variable(builder, group) for group in groups)
    relations: tuple[Relation, ...] = ()
    if len(groups) == 2 and chooser.chance(0.7):
        masks = [builder.masks[group] for group in groups]
        names = [name for name in RELATIONS if facts.related(name, *masks)]
        if names:
            relations = (Relation("on" if "on" in names else chooser.pick(names), 0, 1),)
    shares = {"place": 0.22, "time": 0.16, "weather": 0.08} if things else dict.fromkeys(SETTING, 0.5)
    setting = {name: getattr(scene, name) for name, share in shares.items() if chooser.chance(share)}
    if not things and not setting:
        setting = {"place": scene.place}
    if len(things) < 2 and chooser.chance(0.08):
        things += (_absent(facts, chooser),)
    return Meaning(things, relations, **setting)


def _variable(builder: CaptionBuilder, group: int) -> Variable:
    chooser, look, count = builder.chooser, builder.looks[group], builder.masks[group].bit_count()
    parents = KINDS[look.kind].is_a[1:]
    term = chooser.pick(parents) if parents and chooser.chance(0.2) else look.kind
    stated = {name: getattr(look, name) for name in builder.attributes_to_state(group, 0.4)}
    if term in MASS:
        return Variable(term, **{name: value for name, value in stated.items() if name != "size"})
    if count == 1:
        return Variable(term, **stated, most=1 if chooser.chance(0.08) else None)
    if chooser.chance(0.6):
        return Variable(term, **stated, least=count, most=count)
    return Variable(term, **stated, least=2 if chooser.chance(0.7) else 1)


def _absent(facts: SceneFacts, chooser: WordChooser) -> Variable:
    """Return "no X" for an X that often occurs at the place of the scene but is not in it."""
    place = facts.scene.place
    terms = sorted({term for kind in KINDS.values() if place in kind.places for term in kind.is_a})
    while facts.matching(Variable(term := chooser.pick(terms))):
        pass
    return Variable(term, least=0, most=0)


def _false_meanings(facts: SceneFacts, meaning: Meaning, chooser: WordChooser) -> list[Meaning]:
    """Return up to `FALSE_VARIANTS` false meanings, each with one changed fact, of different kinds first."""
    kinds: list[Iterator[Meaning]] = []
    for name in _FALSE_EDITS:
        groups = [list(group) for group in EDITS[name][0](meaning, facts.scene)]
        kinds.append(iter([each for group in groups for each in chooser.shuffled(group)]))
    kinds.append(iter(chooser.shuffled(list(_other_settings(meaning)))))
    kinds.append(iter(chooser.shuffled(list(_negations(meaning)))))
    found: list[Meaning] = []
    order = chooser.shuffled(kinds[:3]) + chooser.shuffled(kinds[3:])
    for each in order:
        false = next((m for m in each if m != meaning and not facts.entail(m)), None)
        if false is not None and len(found) < FALSE_VARIANTS:
            found.append(false)
    return found


def _other_settings(meaning: Meaning) -> Iterator[Meaning]:
    """Change the stated place, time or weather."""
    if meaning.place is not None:
        yield from (replace(meaning, place=name) for name in PLACES)
    if meaning.time is not None:
        yield from (replace(meaning, time=name) for name in TIMES)
    if meaning.weather is not None:
        yield from (replace(meaning, weather=name) for name in PLACES[meaning.place or "beach"].weathers)


def _negations(meaning: Meaning) -> Iterator[Meaning]:
    """Say that a thing is absent, or that an absent thing is there."""
    for i, variable in enumerate(meaning.things):
        absent = variable.most == 0
        if not absent and any(i in (r.a, r.b) for r in meaning.relations):
            continue
        change = Variable(variable.term) if absent else Variable(variable.term, least=0, most=0)
        yield replace(meaning, things=(*meaning.things[:i], change, *meaning.things[i + 1 :]))


# ---- how a query is worded


def typed_text(meaning: Meaning, rng: np.random.Generator) -> str:
    """Word a meaning as people type it: few articles, digits, synonyms, lower case, now and then a typo.

    Meanings that differ in one fact get texts that differ in its words only, if `rng` starts in the same
    state.
    """
    chooser, style = WordChooser(rng), WordChooser(np.random.default_rng(rng.integers(2**63)))
    with_articles = style.chance(0.35)
    phrases = [_phrase(variable, chooser, with_articles) for variable in meaning.things]
    if meaning.relations:
        (relation,) = meaning.relations
        words = chooser.usual(RELATIONS[relation.name])
        phrases = [f"{phrases[relation.a]} {words} {phrases[relation.b]}"]
    joint = style.pick((" and ", " and ", ", ", " ", " with ", " & "))
    absent = [variable.most == 0 for variable in meaning.things]
    text = "".join(
        (("" if not i else " " if absent[i] else joint) + phrase for i, phrase in enumerate(phrases))
    )
    setting = [_setting(meaning, name, chooser, style) for name in SETTING if getattr(meaning, name)]
    parts = [text, *style.shuffled(setting)] if text else style.shuffled(setting)
    if style.chance(0.15):
        parts = style.shuffled(parts)
    text = " ".join(parts)
    if style.chance(0.05):
        text = f"{style.pick(_OPENINGS)} {text}"
    if style.chance(0.1):
        text = _with_typo(text, style)
    case: Callable[[str], str] = style.pick((str.lower,) * 14 + (str.capitalize, str.upper))
    return case(text)


def _phrase(variable: Variable, chooser: WordChooser, with_articles: bool) -> str:
    several = variable.least > 1 and variable.term not in MASS
    word = chooser.pick(NOUNS[variable.term]) if chooser.chance(0.4) else NOUNS[variable.term][0]
    article_chance, number_form = chooser.random(), chooser.random()
    look = Look(
        variable.term, variable.colour, variable.pattern or "plain", variable.size or "medium", variable.state
    )
    stated = [name for name in ATTRIBUTES if getattr(variable, name)]
    if variable.most == 0:
        noun = word if variable.term in MASS or number_form < 0.4 else plural(word)
        return f"{'without' if article_chance < 0.4 else 'no'} {noun}"
    text = chooser.described(plural(word) if several else word, look, stated, terse=True)
    if variable.most:
        number = variable.least
        if number == 2 and number_form < 0.15:
            return f"a pair of {text}"
        if number == 1 and number_form < 0.15:
            return f"a single {text}"
        return f"{number if number_form < 0.5 else NUMBERS[number]} {text}"
    if several or variable.term in MASS:
        return f"some {text}" if with_articles and article_chance < 0.5 else text
    return article(text) if with_articles else text


def _setting(meaning: Meaning, name: str, chooser: WordChooser, style: WordChooser) -> str:
    value = getattr(meaning, name)
    words: Sequence[str] = (
        PLACES[value].words if name == "place" else {"time": TIMES, "weather": WEATHERS}[name][value]["words"]
    )
    return words[-1] if style.chance(0.55) else chooser.usual(words[:-1])


def _with_typo(text: str, style: WordChooser) -> str:
    """Swap, drop or double one letter inside a word of at least four letters."""
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    if not long:
        return text
    at = style.pick(long)
    word = words[at]
    i = 1 + int(style.random() * (len(word) - 2))
    a, b = word[i], word[i + 1]
    words[at] = word[:i] + style.pick((b + a, b, a + a + b)) + word[i + 2 :]
    return " ".join(words)
