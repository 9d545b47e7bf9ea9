"""The prose of a wiki article: what its wikitext says, without its marks.

Left out are templates, references, tables, files, categories, links to other languages, comments,
galleries, formulas, and whatever else a page shows beside its running text; a heading with nothing
below it, too. Kept are the words: of links their text; a line for each heading and each list entry,
the latter after "- "; of some templates the words that they are put around.
"""

import html
import re
from collections.abc import Collection
from typing import Any

from jaxrnn.core.errors import installed
from jaxrnn.text.reading.mending import GONE, mended

with installed():
    import mwparserfromhell
    from mwparserfromhell import nodes

HEADING = "\1"  # begins a heading's line, with its level

LONGEST_TITLE = 256  # bytes, in MediaWiki
HIDDEN_NAMESPACES = ("file", "image", "media", "category")  # as every wiki knows them
_MEDIA = re.compile(
    r"\.(?:jpe?g|png|gif|svg|tiff?|webp|og[gav]|web[mp]|mp3|wav|mid|pdf|djvu)$", re.I
)

# Of Wikipedias: a link to a page of theirs is shown in the margin.
LANGUAGES = frozenset(
    """
    aa ab ace ady af ak als alt am ami an ang anp ar arc ary arz as ast atj av avk awa ay az azb
    ba ban bar bat-smg bbc bcl bdr be be-tarask be-x-old bew bg bh bi bjn blk bm bn bo bpy br bs
    btm bug bxr ca cbk-zam cdo ce ceb ch cho chr chy ckb co cr crh cs csb cu cv cy da dag de dga
    din diq dsb dtp dty dv dz ee el eml en eo es et eu ext fa fat ff fi fiu-vro fj fo fon fr frp
    frr fur fy ga gag gan gcr gd gl glk gn gom gor got gpe gsw gu guc gur guw gv ha hak haw he hi
    hif ho hr hsb ht hu hy hyw hz ia iba id ie ig igl ii ik ilo inh io is it iu ja jam jbo jv ka
    kaa kab kbd kbp kcg kg kge ki kj kk kl km kn ko koi kr krc ks ksh ku kus kv kw ky la lad lb
    lbe lez lfn lg li lij lld lmo ln lo lrc lt ltg lv lzh mad mai map-bms mdf mg mh mhr mi min mk
    ml mn mni mnw mos mr mrj ms mt mus mwl my myv mzn na nah nan nap nb nds nds-nl ne new ng nia
    nl nn no nov nqo nr nrm nso nv ny oc olo om or os pa pag pam pap pcd pcm pdc pfl pi pih pl pms
    pnb pnt ps pt pwn qu rm rmy rn ro roa-rup roa-tara ru rue rw sa sah sat sc scn sco sd se sg sh
    shi shn si simple sk skr sl sm smn sn so sq sr srn ss st stq su sv sw szl szy ta tay tcy tdd
    te tet tg th ti tk tl tly tn to tpi tr trv ts tt tum tw ty tyv udm ug uk ur uz ve vec vep vi
    vls vo wa war wo wuu xal xh xmf yi yo yue za zea zgh zh zh-classical zh-min-nan zh-yue zu
    """.split()  # noqa: SIM905 (a name a line would fill a page)
)

# Templates that say how their words are shown, and which of their arguments the words are.
WORDS = {
    "lang": "2", "langx": "2", "transl": "2", "transliteration": "2", "nihongo": "1", "nowrap": "1",
    "nobr": "1", "nobreak": "1", "small": "1", "smaller": "1", "big": "1", "larger": "1", "em": "1",
    "strong": "1", "abbr": "1", "tooltip": "1", "quote": "1", "blockquote": "1", "cquote": "1",
    "ill": "1", "interlanguage link": "1", "visible anchor": "1", "vanchor": "1", "smallcaps": "1",
    "sc": "1", "mono": "1", "not a typo": "1", "sic": "1", "as written": "1", "sup": "1",
    "sub": "1",
    "math": "1", "mvar": "1", "chem2": "1", "nts": "1", "flag": "1", "flagcountry": "1",
    "text": "1", "formatnum": "1", "lc": "1", "uc": "1", "val": "1", "ship": "2", "uss": "1",
}  # fmt: skip
LITERAL = {
    "ndash": "\u2013", "endash": "\u2013", "mdash": "\u2014", "emdash": "\u2014", "snd": " \u2013 ",
    "spnd": " \u2013 ",
    "spaced ndash": " \u2013 ", "nbsp": " ", "space": " ", "'": "'", "'s": "'s", "-": "-",
    "\"'": "\"'", "'\"": "'\"",
    "•": " • ", "dot": " · ", "·": " · ", "!": "|", "=": "=", "pi": "π", "pound": "£", "euro": "€",
}  # fmt: skip
CONVERT = {
    "convert": "{} {}", "cvt": "{} {}", "circa": "c. {}", "c.": "c. {}", "frac": "{}/{}",
    "as of": "As of {}", "us$": "US${}", "£": "£{}", "€": "€{}", "¥": "¥{}", "sqrt": "√{}",
}  # fmt: skip
BLOCKS = {"p", "blockquote", "center", "div", "ul", "ol", "dl", "poem"}
LINES = {"dt", "dd"}


def prose(wikitext: str, namespaces: Collection[str] = ()) -> str:
    """What an article says, in paragraphs parted by one blank line.

    It takes time in proportion to the text, and fails for none: marks that nothing closes, or that
    close nothing, go by themselves (`mending.mended`), and their words stay.

    Args:
      wikitext: of one page.
      namespaces: whose pages a link only files or embeds (of categories and files), as this wiki
        calls them; in lower case.
    """
    hidden = frozenset((*HIDDEN_NAMESPACES, *namespaces))
    text = re.sub(f"[{GONE}{HEADING}]", "", wikitext)
    tree = mwparserfromhell.parse(mended(text, _has_words), skip_style_tags=True)
    return _put_right(_words(tree, hidden))


def _words(tree: Any, hidden: frozenset[str]) -> str:
    return "".join(_shown(node, hidden) for node in tree.nodes)


def _shown(node: Any, hidden: frozenset[str]) -> str:
    """What a page shows of a part of its tree, as text."""
    match node:
        case nodes.Text():
            return node.value
        case nodes.Wikilink():
            return _link(node, hidden)
        case nodes.Tag():
            return _tag(node, hidden)
        case nodes.Template():
            return _template(node, hidden)
        case nodes.Heading():
            title = " ".join(_words(node.title, hidden).split())
            return f"\n\n{HEADING}{node.level}{title}\n\n"
        case nodes.HTMLEntity():
            return html.unescape(str(node)).replace("\xa0", " ")
        case nodes.ExternalLink():
            if not node.brackets:
                return str(node.url)
            return GONE if node.title is None else _words(node.title, hidden)
        case nodes.Argument():
            return GONE if node.default is None else _words(node.default, hidden)
    return ""


def _link(link: Any, hidden: frozenset[str]) -> str:
    title = _words(link.title, hidden).strip()
    before, colon, page = title.partition(":")
    prefix = before.strip().lower().replace("_", " ")
    if (
        colon
        and prefix
        and (prefix in hidden or prefix in LANGUAGES or _MEDIA.search(page.strip()))
    ):
        return GONE
    title = title.removeprefix(":")
    if link.text is None:
        return title.replace("_", " ")
    text = _words(link.text, hidden).rpartition("|")[2]
    if not text.strip() and len(title) < LONGEST_TITLE:  # [[Rome (city)|]]
        text = re.sub(r"\s*\([^()]*\)$|,.*$", "", title.rpartition(":")[2])
    return text


def _tag(tag: Any, hidden: frozenset[str]) -> str:
    name = str(tag.tag).strip().lower()
    if name == "br":
        return "\n"
    if name in ("hr", "wbr"):
        return "\n\n" if name == "hr" else ""
    contents = tag.contents or ""
    if name in ("nowiki", "pre", "source", "syntaxhighlight"):
        shown = html.unescape(html.unescape(str(contents)))
        return shown if name == "nowiki" else f"\n\n{shown}\n\n"
    shown = _words(contents, hidden) if contents else ""
    if name in BLOCKS:
        return f"\n\n{shown}\n\n"
    if name == "li":
        return f"\n- {shown.strip()}"
    return f"\n{shown}\n" if name in LINES else shown


def _has_words(name: str) -> bool:
    """Of a template, by its name: whether it shows words of the running text."""
    return (
        name in WORDS or name in LITERAL or name in CONVERT
        or name.startswith("lang-") or name.partition(":")[0] in WORDS
    )  # fmt: skip


def _template(template: Any, hidden: frozenset[str]) -> str:
    name = str(template.name).strip().lower().replace("_", " ")
    if name in LITERAL:
        return LITERAL[name]

    def argument(which: str) -> str:
        if not template.has(which, ignore_empty=True):
            return ""
        return _words(template.get(which).value, hidden).strip()

    if name in CONVERT:
        told = CONVERT[name].format(argument("1"), argument("2")).strip()
        return (told[:1].lower() + told[1:] if argument("lc") else told) or GONE
    which = "1" if name.startswith("lang-") else WORDS.get(name)
    head, colon, rest = name.partition(":")
    if which is None and colon and head in WORDS:  # {{formatnum:1234}}
        return rest
    return (argument("text") or argument(which) if which else "") or GONE


_AROUND = r"[ \t,;:/·\u2013\u2014\-\x02]*"
_QUOTES = {2: "", 3: "", 4: "'", 5: ""}
_MARKS = re.compile(r"(?i)'{2,}|<!--|\{\{|\}\}|\[\[|\]\]|\{\||\|\}|</?ref(?:\b[^<>]*>?)?")


def _put_right(text: str) -> str:
    """Without what is left around things that were left out, and without marks of single lines."""
    text = re.sub(r"'{2,}", lambda run: _QUOTES.get(len(run[0]), "'" * (len(run[0]) - 5)), text)
    text = re.sub(r"__[^\W\d_]+(?:_[^\W\d_]+)*__", _unless_lower, text)
    text = re.sub(r"-\{(?:[^{}|]*+\|)?(?:[\w-]++:)?([^{};]*+)[^{}]*+\}-", r"\1", text)
    text = re.sub(r"[,;](?=[ \t]*\x02[ \t\x02]*[,;.])", "", text)  # of two commas, one
    text = re.sub(rf"[(\uff08]{_AROUND}[)\uff09]", lambda m: GONE if GONE in m[0] else m[0], text)
    text = re.sub(rf"([(\uff08]){_AROUND}", lambda m: m[1] if GONE in m[0] else m[0], text)
    text = re.sub('["\u201c\u201e\u00ab]\x02+["\u201d\u201c\u00bb]', GONE, text)
    text = re.sub(
        r"(?<![ \t,;\x02])[ \t,;\x02]+([)\uff09])", lambda m: m[1] if GONE in m[0] else m[0], text
    )
    text = re.sub(r"(?<![ \t\x02])[ \t\x02]+", _gap, text)
    return _sections(text.split("\n"))


def _unless_lower(word: re.Match[str]) -> str:
    """Nothing of __TOC__, in whatever script; all of __init__."""
    return "" if word[0] == word[0].upper() else word[0]


def _gap(run: re.Match[str]) -> str:
    """White space where something may have been left out."""
    if GONE not in run[0]:
        return run[0]
    before, after = run.string[run.start() - 1 : run.start()], run.string[run.end() : run.end() + 1]
    if not before.strip():  # a line's beginning, which may be all of it
        return GONE
    return " " if run[0].strip(GONE) and after not in ",.;:!?)" else ""


def _unmarked(line: str) -> str:
    """Without marks that were no markup, as in nowiki, or whose halves what is gone kept apart."""
    line = _MARKS.sub("", line)
    return _MARKS.sub(" ", line) if _MARKS.search(line) else line


def _sections(lines: list[str]) -> str:
    """The lines, blank ones one at a time, without headings that have nothing below them."""
    kept: list[str] = []
    headings: list[tuple[int, str]] = []  # that nothing has come after yet
    blank = False
    for line in lines:
        was_cut = line.startswith(GONE)
        line = _unmarked(line.replace(GONE, "")).strip()
        if line.startswith(HEADING) and not line[2:].strip():
            continue
        elif line.startswith(HEADING):
            level, title = int(line[1]), line[2:].strip()
            headings = [heading for heading in headings if heading[0] < level] + [(level, title)]
        elif not line:
            blank = blank or not was_cut
        elif line == "-":  # an entry that was left out
            continue
        elif not line.startswith(("|", "!!")) and not ("!!" in line and line.startswith("!")):
            for _, title in headings:
                kept += ["", title] if kept else [title]
            kept += [""] if kept and (blank or headings) else []
            kept.append(re.sub(r"^(?:- )+", "- ", re.sub(r"[ \t]{2,}", " ", line)))
            headings, blank = [], False
    return "\n".join(kept)
