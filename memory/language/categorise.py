"""Which kind of thing a statement is."""

from __future__ import annotations

import re

from memory.language.normal_form import plain, without_fillers
from memory.language.plausible import MANY_OF_EACH, ONE_OF_EACH, SAME_RELATIVE
from memory.records import Category

_MORE = {"spouse", "parent", "children", "grandparent", "grandkid", "in-law"}
# "My doctor told me to rest" is a fact.
_PERSONS = "|".join((ONE_OF_EACH | MANY_OF_EACH | SAME_RELATIVE.keys() | _MORE) - {"doctor"})
# Patterns of plain forms without fillers, each with or without an s behind it. The first rule that matches decides, so
# the telling words come before the general ones: "i want to visit my sister" is a goal, "my sister lives in rome" a
# relationship.
_PATTERNS = {
    Category.PREFERENCE: "favorite|call me|(?:i|we) (?:would )?(?:much )?(?:prefer|rather)"
    "|(?:i|we) (?:hate|dislike|can not stand|do not (?:like|enjoy|eat|drink))",
    Category.GOAL: "my (?:goal|dream|aim|ambition)|(?:i|we) (?:want|hope|wish|aim|try) to"
    "|(?:i am|we are) (?:trying|hoping|working|learning) (?:to|on|how)",
    Category.PLAN: r"(?:i am|we are) (?:going|planning|about) to|(?:i|we) will \w+|(?:i|we) (?:plan|intend) to"
    "|next (?:week|month|year|summer|winter|spring|weekend)|tomorrow",
    Category.INTEREST: "(?:i|we) (?:love|like|enjoy|adore|collect|play)|hobby|hobbie"
    "|(?:i am|we are) (?:interested in|into|fond of|passionate about)",
    Category.OPINION: "(?:i|we) (?:do not )?(?:think|believe|feel|find|reckon|guess|doubt)|in my (?:opinion|view)",
    Category.RELATIONSHIP: rf"(?:my|our|(?:i|we) have) (?:\w+ ){{0,2}}(?:{_PERSONS})"
    "|(?:married|engaged|divorced) (?:to|from)",
    Category.EXPERIENCE: "(?:i|we) (?:once )?(?:went|visited|saw|met|tried|learned|learnt|grew up|travell?ed|studied"
    "|used to|was in|were in|have (?:been|seen|met|tried|done))"
    "|yesterday|last (?:week|month|year|night|summer|winter|spring|weekend)",
}
_RULES = [(category, re.compile(rf"\b(?:{pattern})s?\b")) for category, pattern in _PATTERNS.items()]


def categorise(statement: str) -> Category:
    """Which kind of memory a statement is; FACT where no rule says more."""
    form = without_fillers(plain(statement))
    return next((category for category, rule in _RULES if rule.search(form)), Category.FACT)
