"""The prose of wikitext, against what a reader would write down from the page."""

import random

import pytest

from jaxrnn.text.reading.markup import prose

CASES = {
    "bold, italics, and apostrophes": (
        "'''''Both''''', '''bold''' and ''italic''; ''''quoted'''', it's l'''avion'''.",
        "Both, bold and italic; 'quoted', it's lavion.",
    ),
    "links": (
        "[[Ruritania]], [[Ruritania|the land]], [[street]]s, [[#History|above]], [[Rome (city)|]],"
        " [[a_b]], [[:Category:Cities]], [[wikt:see|look]], [[CSI: Miami]].",
        "Ruritania, the land, streets, above, Rome, a b, Category:Cities, look, CSI: Miami.",
    ),
    "files, categories and other languages": (
        "[[File:A.jpg|thumb|left|A [[town]] by the [[river|river [[Elbe]]]], {{circa|1890}}.]]\n"
        "Before [[Bild:B.PNG|20px]] after[[image:c.svg|x]].\n[[Category:Cities|Strelsau]]\n"
        "[[de:Strelsau]]\n[[zh-yue:Strelsau]]",
        "Before after.",
    ),
    "links outside": (
        "See [http://a.org the [[site]]], [//b.org two words], [http://c.org], or http://d.org/x.",
        "See the site, two words, or http://d.org/x.",
    ),
    "an open bracket": ("An array a[1] and [sic], [http://a.org", "An array a[1] and [sic], http://a.org"),
    "templates": (
        "{{Infobox|name={{nested|[[x]]}}\n|y=2}}\nA city{{fact|date=May}}, {{Main}} big.{{r|a}}",
        "A city, big.",
    ),
    "templates that show their words": (
        "The {{lang|fr|mot juste}} ({{lang-de|Wort}}, {{langx|la|verbum}}) is {{convert|5|km|mi}}"
        " off{{snd}}{{quote|author=a|text=''so''}}"
        " {{nowrap|''all'' of [[it]]}} {{circa|1890}}, {{formatnum:1200}}.",
        "The mot juste (Wort, verbum) is 5 km off \u2013 so all of it c. 1890, 1200.",
    ),
    "templates that show a word and a sign": (
        "{{As of|2012|7}}, {{as of|2013|lc=y}} in {{flag|France}}: {{US$|5}} or {{€|4}},"
        " {{math|''x''}} {{\"'}}so{{'\"}}.",
        "As of 2012, as of 2013 in France: US$5 or €4, x \"'so'\".",
    ),
    "what is for pages that take this one in": (
        "<noinclude>Here.</noinclude> <includeonly>Elsewhere.</includeonly>"
        "<onlyinclude>Both.</onlyinclude>",
        "Here. Both.",
    ),
    "arguments": ("A {{{1|default}}} and {{{2}}}.", "A default and."),
    "references": (
        'One.<ref>{{cite|title=[[X]]}}</ref> Two<ref name="a>b" /><ref name={{x}}>c</ref >, three'
        "<REF\nname=x>y</REF> four <ref>5</ref>.\n<references>\n<ref>6</ref>\n</references>",
        "One. Two, three four.",
    ),
    "tables": (
        "Before\n{| class=x\n! A !! B\n|-\n| 1 || {{a|b}}\n{| \n| inner\n|}\n|}\nafter\n"
        "<table><tr><td>1</td></tr></table>\n:{|\n|x\n|}",
        "Before\nafter",
    ),
    "headings, but not of what is left out": (
        "Lead.\n== A ''b'' ==\n=== Empty ===\n{{x}}\n===Full===\nText.\n==References==\n"
        "{{reflist}}\n== See also ==\n* [[X]]\n==End==",
        "Lead.\n\nA b\n\nFull\n\nText.\n\nSee also\n\n- X",
    ),
    "lists": (
        "A:\n* one\n** ''two''\n# three<br>still\n*{{x}}\n*\n; Term : meaning\n:: indented\n"
        "<ul><li>four</li><li>five</li></ul>",
        "A:\n- one\n- two\n- three\nstill\nTerm : meaning\nindented\n\n- four\n- five",
    ),
    "comments": ("A<!-- [[x]] {{ -->B <!-- -- --> C<!-- never closed", "AB C"),
    "entities": (
        "5&nbsp;&lt;&#54;&#x37; &amp; &eacute;&unknown; &mdash;",
        "5 <67 & \u00e9&unknown; \u2014",
    ),
    "magic words": (
        "__NOTOC__\n__\u76ee\u5f55__A __TOC__ b, snake__case__name __init__",
        "A b, snake__case__name __init__",
    ),
    "formulas, galleries and code": (
        "Let <math>x_{{1}}</math> be.\n<gallery>\nA.jpg|[[a]]\n</gallery>\n"
        '<syntaxhighlight lang="c">\nif (a<b && c) x[0]++;\n</syntaxhighlight>\n'
        "<nowiki>''raw''</nowiki> H<sub>2</sub>O <code>f()</code><score>c</score>",
        "Let be.\n\nif (a<b && c) x[0]++;\n\nraw H2O f()",
    ),
    "parentheses": (
        "A ({{ipa|x}}; {{a}}) b ( ; {{x}}c) d (e, {{x}} ) f() (g) (\n) {{x}}({{y}}): h ({{x}}),"
        " \"{{x}}\" \"i\".",
        "A b (c) d (e) f() (g) (\n): h, \"i\".",
    ),
    "paragraphs": (
        "\n\n\nOne\nline.\n\n\n\n{{x}}\n\n{{y}}\nTwo.  Wide.\n----\nThree<p>Four</p>\n",
        "One\nline.\n\nTwo. Wide.\n\nThree\n\nFour",
    ),
    "what is hidden": (
        'A <span style="display: none">x</span><div class="noprint">y</div>b'
        ' <span style="color:red">c</span>',
        "A b c",
    ),
    "marks that nothing closes": (
        "A {{b\n| c = d\n[[e ''f'' <ref>g <b>h\n{| i\n| j || k\n== l ==\nm",
        "A b\ne f g h\ni\n\nl\n\nm",
    ),
    "marks that close nothing": ("A }} b ]] c </ref> d |} e </b> f -->", "A b c d e f -->"),
    "marks that cross": ("[[a {{b ]] c }} d <b> [[e </b> f]] g", "a d e f g"),
    "less than": ("1 < 2, a<b, <3, <unknown thing>x</unknown>, <>", "1 < 2, a<b, <3, x, <>"),
    "variants": ("-{zh-hans:one;zh-hant:two}- and -{three}-", "one and three"),
    "words of no alphabet": (
        "'''\u6771\u4eac'''\uff08{{x}}\uff09\u306f[[\u65e5\u672c]]\u306e\U0001f5fc",
        "\u6771\u4eac\u306f\u65e5\u672c\u306e\U0001f5fc",
    ),
    "nothing": ("{{x}}\n[[Category:Y]]\n== Empty ==\n", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_prose_is_what_a_reader_sees(name):
    wikitext, expected = CASES[name]
    assert prose(wikitext) == expected


def test_a_wiki_names_its_own_namespaces():
    text = "A[[\u0424\u0430\u0439\u043b:x|thumb|b]] [[Cat\u00e9gorie:c]]d"
    assert prose(text, ["\u0444\u0430\u0439\u043b", "cat\u00e9gorie"]) == "A d"


LEFT = ("{{", "}}", "[[", "]]", "{|", "|}", "<ref", "''", "<!--", "\x02", "\x01", "\n\n\n")
BITS = (
    "{{", "}}", "[[", "]]", "{|", "|}", "<ref", "<ref>", "</ref>", "<ref name=x/>", "''", "'''",
    "<!--", "-->", "|", "||", "\n", "\n\n", "\n|-\n", "\n* ", "\n==", "==\n", "[http://a.b ", "]",
    "[", "{", "}", "<", ">", "<b>", "</b>", "<math>", "</math>", "<nowiki>", "</nowiki>", "&lt;",
    "&#91;", "&#123;", "{{{", "}}}", "File:", "Category:", "word", " ", ", ", "(", ")", "lang|",
    "<br/>", "<div style='", "-{", "}-", ":", ";", "<li>", "__TOC__", "\n{|", "\n|}", "'",
)  # fmt: skip


def test_no_mark_is_left_of_any_text():
    choose = random.Random(0)
    for _ in range(1500):
        text = "".join(choose.choices(BITS, k=choose.randrange(1, 60)))
        told = prose(text)
        assert not [mark for mark in LEFT if mark in told], (text, told)
        assert told == told.strip()


@pytest.mark.parametrize(
    "text",
    [
        "[[" * 100_000, "{{" * 50_000, "{{a|" * 10_000 + "x" + "}}" * 10_000, "}}" * 50_000,
        "<ref>" * 5_000, "'''''a" * 5_000, "{|\n" * 5_000, "[http://a " * 2_000,
        "<b>" * 5_000, "{{{a|" * 5_000, "<!--" * 20_000, "==\n" * 5_000, "*" * 50_000,
        "[[a|" * 5_000, '<div a="' * 5_000, "{|\n|-\n! a || b\n" * 2_000, "[" * 50_000,
        (":" * 200 + "\n") * 200, "<math>" * 5_000, "(" * 50_000, "( " * 20_000, " " * 50_000,
        "&" * 20_000, "-{" * 20_000, "_" * 50_000, "{{lang|x|" * 5_000, "\x02, " * 20_000,
        "[[a]]" * 1_000 + "[[", "-{" + "a" * 50_000, "[[" + " " * 50_000 + "x|]]",
        "<b><i>" * 3_000 + "</b></i>" * 3_000, "{{x}}," * 5_000,
    ],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
def test_hostile_markup_takes_no_longer_than_its_length(text):
    told = prose(text)
    assert not [mark for mark in LEFT if mark in told]
