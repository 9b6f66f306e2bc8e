"""Which kind of thing a statement is."""

from __future__ import annotations

import re

from memory.records import Category

_FAMILY = (
    "wife|husband|partner|spouse|girlfriend|boyfriend|fiancee?|mother|mom|mum|father|dad|parents?|son|daughter"
    "|child|children|kids?|brothers?|sisters?|twin|grand(?:ma|pa|mother|father|son|daughter|parents|kids)|aunt|uncle"
    "|cousins?|niece|nephew|friends?|boss|colleagues?|neighbou?rs?|roommate|flatmate|teacher|in-laws?"
)

# The first rule that matches decides, so the telling words come before the general ones: "i want to visit my
# sister" is a goal, "my sister lives in rome" a relationship.
_RULES: tuple[tuple[Category, re.Pattern[str]], ...] = tuple(
    (category, re.compile(pattern, re.IGNORECASE))
    for category, pattern in (
        (
            Category.PREFERENCE,
            r"\bfavou?rites?\b|\b(?:i|we)(?:'d| would)? (?:really |much )?(?:prefer|rather)\b"
            r"|\b(?:i|we) (?:really |absolutely )?(?:hate|dislike|can't stand|cannot stand)\b"
            r"|\b(?:i|we) (?:do not|don't) (?:really )?(?:like|enjoy|eat|drink)\b|\bcall me\b",
        ),
        (
            Category.GOAL,
            r"\bmy (?:goal|dream|aim|ambition)s?\b|\b(?:i|we) (?:really )?(?:want|hope|wish|aim|try|'m trying) to\b"
            r"|\b(?:i am|i'm|we are|we're) (?:trying|hoping|working|learning) (?:to|on|how)\b",
        ),
        (
            Category.PLAN,
            r"\b(?:i|we)(?:'m| am|'re| are) (?:going|planning|about) to\b|\b(?:i|we)(?:'ll| will) \w+"
            r"|\b(?:i|we) (?:plan|intend) to\b|\bnext (?:week|month|year|summer|winter|spring|weekend)\b"
            r"|\btomorrow\b",
        ),
        (
            Category.INTEREST,
            r"\b(?:i|we) (?:really |just |absolutely )?(?:love|like|enjoy|adore)\b|\bhobb(?:y|ies)\b"
            r"|\b(?:i am|i'm|we are|we're) (?:really |very )?(?:interested in|into|fond of|passionate about)\b"
            r"|\b(?:i|we) (?:collect|play)\b",
        ),
        (
            Category.OPINION,
            r"\b(?:i|we) (?:really |don't |do not )?(?:think|believe|feel|find|reckon|guess|doubt)\b"
            r"|\bin my (?:opinion|view)\b",
        ),
        (
            Category.RELATIONSHIP,
            rf"\b(?:my|our|(?:i|we) have) (?:\w+ ){{0,2}}(?:{_FAMILY})\b|\b(?:married|engaged|divorced) (?:to|from)\b",
        ),
        (
            Category.EXPERIENCE,
            r"\b(?:i|we) (?:once |just |recently )?(?:went|visited|saw|met|tried|learned|learnt|grew up|travell?ed"
            r"|studied|used to|was in|were in|have been|have seen)\b|\b(?:i|we)'ve (?:been|seen|met|tried|done)\b"
            r"|\byesterday\b|\blast (?:week|month|year|night|summer|winter|spring|weekend)\b",
        ),
    )
)


def categorise(statement: str) -> Category:
    """Which kind of memory a statement is; FACT where no rule says more."""
    return next((category for category, rule in _RULES if rule.search(statement)), Category.FACT)
