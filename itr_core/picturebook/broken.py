"""Why a meaning is not true of a scene: the first stated fact that is false, in plain words."""

from dataclasses import replace

from itr_core.picturebook.ontology import NOUNS, PLACES, RELATIONS, TIMES, WEATHERS
from itr_core.picturebook.semantics import ATTRIBUTES, SETTING, Meaning, SceneFacts, Variable
from itr_core.picturebook.wording import MASS, colour_as, plural

_NAMES = {"plain": "plain", "medium": "of medium size", "lying": "lying down"}


def broken_fact(facts: SceneFacts, meaning: Meaning) -> str:
    """Return the first false fact of a meaning, such as "3 dogs, not 2"; "" if the meaning is true.

    Things come first, in the order of the meaning, then relations, then place, time and weather.
    """
    if facts.entail(meaning):
        return ""
    for variable in meaning.things:
        if not variable.allows(facts.matching(variable).bit_count()):
            return _wrong_thing(facts, variable, alone=len(meaning.things) == 1)
    things = replace(meaning, place=None, time=None, weather=None)
    if not facts.entail(things):
        for number, variable in enumerate(meaning.things, 1):
            if not facts.entail(Meaning(meaning.things[:number])):
                return f"no other {NOUNS[variable.term][0]}"
        return _wrong_relation(facts, things)
    for name in SETTING:
        stated, fact = getattr(meaning, name), getattr(facts.scene, name)
        if stated not in (None, fact):
            return f"{_setting(name, fact)}, not {_setting(name, stated)}"
    raise AssertionError("A false meaning has a false fact.")


def _wrong_thing(facts: SceneFacts, variable: Variable, alone: bool) -> str:
    number, noun = facts.matching(variable).bit_count(), NOUNS[variable.term][0]
    if variable.most == 0:
        return f"{number} {_counted(_described(variable), number)}, not none"
    if number:
        wanted = variable.least if variable.most else "several"
        return f"{number} {_counted(_described(variable), number)}, not {wanted}"
    same = facts.matching(Variable(variable.term))
    if not same:
        return f"no {noun}"
    stated = [name for name in ATTRIBUTES if getattr(variable, name)]
    candidates = [thing for i, thing in enumerate(facts.scene.things) if same >> i & 1]
    nearest = max(
        candidates, key=lambda thing: sum(getattr(thing, n) == getattr(variable, n) for n in stated)
    )
    name = next(name for name in stated if getattr(nearest, name) != getattr(variable, name))
    fact, value = (str(getattr(each, name) or "") for each in (nearest, variable))
    worn = "in " if name in ("colour", "pattern") and colour_as(variable.term) else ""
    text = f"{worn}{_NAMES.get(fact, fact)}, not {_NAMES.get(value, value)}" if fact else f"not {value}"
    return text if alone else f"{noun}: {text}"


def _wrong_relation(facts: SceneFacts, meaning: Meaning) -> str:
    """Name the first relation that is false whatever things are meant, and one that is true instead."""
    for relation in meaning.relations:
        if facts.entail(replace(meaning, relations=(relation,))):
            continue
        a, b = meaning.things[relation.a], meaning.things[relation.b]
        others = (replace(relation, name=name) for name in RELATIONS)
        true = next((r.name for r in others if facts.entail(replace(meaning, relations=(r,)))), "")
        stated = RELATIONS[relation.name][0]
        if not true:
            return f"{_bare(a)} not {stated} the {_bare(b)}"
        it = "" if stated.endswith(" of") or stated in ("above", "below", "behind") else " it"
        return f"{_bare(a)} {RELATIONS[true][0]} the {_bare(b)}, not {stated.removesuffix(' of')}{it}"
    return "not all of this at once"


def _bare(variable: Variable) -> str:
    return _counted(NOUNS[variable.term][0], 1 if variable.most == 1 else variable.least)


def _described(variable: Variable) -> str:
    """Return the noun with its attributes, in an order that every noun allows."""
    forms = colour_as(variable.term)
    before = [variable.size, variable.state, *(() if forms else (variable.pattern, variable.colour))]
    return " ".join([*filter(None, before), NOUNS[variable.term][0]])


def _counted(noun: str, number: int) -> str:
    return noun if number == 1 or noun in MASS else plural(noun)


def _setting(name: str, value: str) -> str:
    if name == "place":
        return PLACES[value].name
    words: list[str] = {"time": TIMES, "weather": WEATHERS}[name][value]["words"]
    return words[-1]
