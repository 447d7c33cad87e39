# SPDX-License-Identifier: MIT
"""Other tellings of a story: the same text with other names and animals, and chats of more turns.

A million words of simple stories are few; a model that reads them ten times learns them by heart,
and half of their boys are called Tim.  When names and animals change from one reading to the next,
what helps to predict the text is to remember who was introduced, or what the request asked for:
that is what a story teller needs.  Every occurrence changes alike, in a chat in request and answer.
Nothing else changes, so grammar holds: all words here go with "a" and have a plural in -s, boys
stay boys, and an animal stays what it is where the story has it do what only some of them can.
"""

import re

# Those of the stories, about as often as there, and some others, so that a name given in a request
# need not be an English one.
BOYS = {
    "Tim": 60, "Tom": 40, "Max": 25, "Ben": 25, "Sam": 22, "Timmy": 12, "Bob": 9, "Jack": 10,
    "Joe": 6, "Billy": 6, "John": 6, "Tommy": 5, "Benny": 4, "Leo": 5, "Jimmy": 4, "Andy": 4,
    "Bobby": 4, "Sammy": 3, "Fred": 4, "Jake": 4, "Jerry": 3, "Peter": 4, "Jim": 3, "Danny": 3,
    "Pete": 3, "Toby": 3, "Gary": 2, "Frank": 2, "Finn": 3, "James": 3, "Bill": 2, "Alex": 3,
    "Tony": 2, "Harry": 2, "Ted": 2, "Johnny": 2, "Charlie": 2, "Mike": 2, "Oliver": 2, "Dan": 2,
    "Henry": 2, "George": 2, "Paul": 2, "David": 2, "Thomas": 2, "Noah": 2, "Omar": 2, "Kofi": 2,
    "Ravi": 2, "Arjun": 2, "Hassan": 2, "Diego": 2, "Luca": 2, "Yusuf": 2, "Liam": 2, "Hugo": 2,
    "Marco": 2, "Felix": 2, "Jonas": 2, "Pablo": 2, "Chen": 2, "Ivan": 2, "Sizwe": 2, "Rohan": 2,
}
GIRLS = {
    "Lily": 55, "Sue": 22, "Mia": 14, "Lucy": 13, "Anna": 11, "Sara": 9, "Amy": 8, "Sally": 7,
    "Daisy": 5, "Jane": 5, "Sarah": 5, "Molly": 4, "Lila": 4, "Emma": 5, "Jen": 3, "Mimi": 3,
    "Jill": 3, "Bella": 3, "Mary": 4, "Ella": 3, "Jenny": 3, "Elly": 2, "Lisa": 3, "Luna": 3,
    "Emily": 3, "Susie": 2, "Lulu": 2, "Claire": 2, "Polly": 2, "Millie": 2, "Betty": 2, "Liz": 2,
    "Tina": 2, "Tilly": 2, "Alice": 3, "Zara": 2, "Mandy": 2, "Kate": 2, "Sophie": 2, "Lola": 2,
    "Rachel": 2, "Julia": 2, "Rosie": 2, "Maria": 2, "Eva": 2, "Nora": 2, "Clara": 2, "Aisha": 2,
    "Priya": 2, "Fatima": 2, "Leila": 2, "Amina": 2, "Mei": 2, "Hana": 2, "Sofia": 2, "Carmen": 2,
    "Greta": 2, "Nina": 2, "Olga": 2, "Zoe": 2, "Ruth": 2, "Laura": 2, "Helen": 2, "Elena": 2,
}
PETS = {
    "Spot": 20, "Fluffy": 8, "Kitty": 4, "Buddy": 4, "Whiskers": 3, "Rex": 2, "Coco": 2,
    "Mittens": 2, "Brownie": 2, "Bobo": 2, "Momo": 2, "Rover": 2, "Patch": 2, "Biscuit": 2,
}
ANIMALS = {
    "dog": 20, "cat": 18, "rabbit": 8, "bear": 8, "squirrel": 4, "pig": 4, "monkey": 4, "lion": 4,
    "turtle": 3, "tiger": 2, "goat": 2, "zebra": 2, "panda": 2, "hedgehog": 1, "beaver": 1,
    "kitten": 2,
}
# What only some of them do, have, like or grow into.
ONLY_SOME = re.compile(
    r"\b(bark|woof|meow|purr|roar|growl|howl|oink|baa|bleat|hop|shell|mane|trunk|leash|kennel"
    r"|litter|paw|kitty|doggy|doggie|nut|acorn|banana|honey|carrot|climb|tail|fetch|bone|milk|mice"
    r"|mouse|puppy|puppies|stripe)(s|ed|ped|ing|ping)?\b", re.IGNORECASE)

WORD = re.compile(r"\b[A-Za-z]+\b")

YES = ("Yes", "Yes!", "Yes, please.", "yes please", "Sure.", "OK", "Please do.")
SHARE = 0.15  # of the chats that get a turn of small talk before, and of those that get one after


def _mapping(rng, texts):
    """{word: other word} for the names and animals in the texts."""
    words = {w for text in texts for w in WORD.findall(text)}
    people = sorted(words & (BOYS.keys() | GIRLS.keys()))
    # Tim may be what Timmy is called by his friends.
    kept = {a for a in people for b in people if a != b and (a.startswith(b) or b.startswith(a))}
    mapping, taken = {}, set(words)

    def change(pool):
        for word in sorted(words & pool.keys() - kept):
            left = [w for w in pool if w not in taken]
            mapping[word] = rng.choices(left, [pool[w] for w in left])[0]
            taken.add(mapping[word])

    change(BOYS)
    change(GIRLS)
    change(PETS)
    if not any(ONLY_SOME.search(text) for text in texts):
        words |= {w.lower() for w in words} | {w.lower().removesuffix("s") for w in words}
        taken |= words
        change(ANIMALS)
        for word in mapping.keys() & ANIMALS.keys():
            other = mapping[word]
            mapping |= {word.capitalize(): other.capitalize(), word + "s": other + "s",
                        word.capitalize() + "s": other.capitalize() + "s"}
    return mapping


def _apply(mapping, text):
    return WORD.sub(lambda found: mapping.get(found[0], found[0]), text)


def story(rng, text):
    """The text with other names."""
    return _apply(_mapping(rng, [text]), text)


def _as_typed(rng, request):
    """A request as people type it: often without capitals or the final stop."""
    if "story:" in request or "starts with:" in request:  # what follows is quoted
        return request
    how = rng.random()
    if how < 0.15:
        request = request.lower()
    return request.rstrip(".") if how < 0.25 else request


def chat(rng, messages, talk):
    """A chat with other names, sometimes with small talk before or after it.  `talk` has chats of
    one turn each by when they fit: {"before": [...], "after": [...]}."""
    mapping = _mapping(rng, [m["content"] for m in messages])
    request, answer = ({**m, "content": _apply(mapping, m["content"])} for m in messages)
    request["content"] = _as_typed(rng, request["content"])
    found = [request, answer]
    if rng.random() < SHARE:
        first = rng.choice(talk["before"])
        # A story is offered: it can be had by a yes.
        if first[-1]["content"].endswith("?") and rng.random() < 0.5:
            request["content"] = rng.choice(YES)
        found = first + found
    if rng.random() < SHARE:
        found = found + rng.choice(talk["after"])
    return found
