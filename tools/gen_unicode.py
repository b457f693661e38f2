#!/usr/bin/env python3
"""Writes src/guard/unicode/tables.inc from Debian's unicode-data package (Unicode 15.0).

usage: gen_unicode.py [/usr/share/unicode] > src/guard/unicode/tables.inc

Two tables: a class for every code point (two-level), and a fold of code points to the ASCII they stand for or look like.
Look-alikes are our own list of letters that common fonts draw as an ASCII letter.
"""
import re
import sys
from pathlib import Path

ROOT = Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode")
LIMIT = 0x110000
# In the order of enum CodeClass (classes.h).
CLASSES = ["Visible", "Latin", "Letter", "Joining", "Rtl", "RtlJoining", "Spaceless", "Ideograph", "Mark", "Emoji", "EmojiModifier",
           "Regional", "Braille", "HangulJamo", "Mongolian", "Control", "Tag", "VariationSelector", "ZeroWidth", "Joiner", "BidiMark",
           "BidiEmbed", "BidiOverride", "SoftHyphen", "Filler", "InvisibleOperator", "Annotation", "PrivateUse", "Unassigned"]
ID = {name: i for i, name in enumerate(CLASSES)}


def ranges(name: str, wanted) -> list[tuple[int, int, str]]:
    out = []
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        fields = [f.strip() for f in line.split(";")]
        if len(fields) > 1 and wanted(fields[1]):
            first, _, last = fields[0].partition("..")
            out.append((int(first, 16), int(last or first, 16), fields[1]))
    return out


cls = [ID["Visible"]] * LIMIT


def put(first: int, last: int, name: str) -> None:
    for cp in range(first, last + 1):
        cls[cp] = ID[name]


category = ["Cn"] * LIMIT
decomposition: dict[int, str] = {}
first_of_range = None
for line in (ROOT / "UnicodeData.txt").read_text().splitlines():
    f = line.split(";")
    cp = int(f[0], 16)
    if f[1].endswith(", First>"):
        first_of_range = cp
        continue
    lo = first_of_range if f[1].endswith(", Last>") else cp
    for c in range(lo, cp + 1):
        category[c] = f[2]
    if f[5]:
        decomposition[cp] = f[5]

script = {}
for lo, hi, name in ranges("Scripts.txt", lambda _: True):
    for c in range(lo, hi + 1):
        script[c] = name
RTL_JOIN = {"Arabic", "Syriac", "Nko", "Mandaic", "Manichaean", "Psalter_Pahlavi", "Hanifi_Rohingya", "Adlam", "Sogdian", "Old_Uyghur"}
RTL = {"Hebrew", "Thaana", "Samaritan"}
INDIC = {"Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Tibetan",
         "Balinese", "Javanese", "Sundanese", "Grantha", "Brahmi", "Kaithi", "Chakma", "Meetei_Mayek", "Limbu", "Newa", "Tirhuta",
         "Phags_Pa", "Syloti_Nagri", "Saurashtra", "Buginese", "Kharoshthi", "Sharada", "Khudawadi", "Modi", "Takri", "Siddham", "Ahom"}
SPACELESS = {"Thai", "Lao", "Khmer", "Myanmar", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Hiragana", "Katakana", "Bopomofo", "Yi"}
for cp in range(LIMIT):
    cat = category[cp]
    s = script.get(cp, "")
    if cat in ("Mn", "Me", "Mc"):
        name = "Mark"
        if s in INDIC:
            name = "Joining"  # vowel signs join as their letters do
        elif s in SPACELESS:
            name = "Spaceless"
    elif cat == "Cn":
        name = "Unassigned"
    elif cat == "Co":
        name = "PrivateUse"
    elif cat == "Cc":
        name = "Control"
    elif cat.startswith("L"):
        name = ("Latin" if s == "Latin" else "RtlJoining" if s in RTL_JOIN else "Rtl" if s in RTL else "Joining" if s in INDIC
                else "Spaceless" if s in SPACELESS else "Ideograph" if s == "Han" else "Mongolian" if s == "Mongolian"
                else "HangulJamo" if s == "Hangul" else "Letter")
    else:
        name = "RtlJoining" if s in RTL_JOIN else "Rtl" if s in RTL else "Mongolian" if s == "Mongolian" else "Visible"
    cls[cp] = ID[name]
for lo, hi, _ in ranges("emoji/emoji-data.txt", lambda p: p in ("Emoji", "Extended_Pictographic")):
    for cp in range(lo, hi + 1):
        if cp > 0x7F:
            cls[cp] = ID["Emoji"]
put(0x1F3FB, 0x1F3FF, "EmojiModifier")
put(0x1F1E6, 0x1F1FF, "Regional")
put(0x2800, 0x28FF, "Braille")
for cp in (0x09, 0x0A, 0x0D, 0x85):
    cls[cp] = ID["Visible"]
put(0xE0000, 0xE007F, "Tag")
put(0xFE00, 0xFE0F, "VariationSelector")
put(0xE0100, 0xE01EF, "VariationSelector")
put(0x180B, 0x180D, "VariationSelector")
put(0x180F, 0x180F, "VariationSelector")
for cp in (0x200B, 0x2060, 0xFEFF, 0x180E):
    put(cp, cp, "ZeroWidth")
put(0x200C, 0x200D, "Joiner")
for cp in (0x200E, 0x200F, 0x061C):
    put(cp, cp, "BidiMark")
put(0x202A, 0x202C, "BidiEmbed")
put(0x2066, 0x2069, "BidiEmbed")
put(0x202D, 0x202E, "BidiOverride")
put(0x00AD, 0x00AD, "SoftHyphen")
for cp in (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0):
    put(cp, cp, "Filler")
put(0x2061, 0x2064, "InvisibleOperator")
put(0x206A, 0x206F, "InvisibleOperator")
put(0xFFF9, 0xFFFB, "Annotation")
put(0x1BCA0, 0x1BCA3, "Annotation")
put(0x1D173, 0x1D17A, "Annotation")

# Code points that stand for ASCII: compatibility forms (fold 0) and letters with marks (fold 1).
marks = {cp for cp in range(LIMIT) if category[cp] in ("Mn", "Me")}


def decompose(cp: int) -> tuple[list[int], bool]:
    d = decomposition.get(cp)
    if d is None:
        return [cp], False
    compat = d.startswith("<")
    out = []
    for part in re.sub(r"<[^>]*>", "", d).split():
        inner, c = decompose(int(part, 16))
        out += inner
        compat |= c
    return out, compat


folds: dict[int, tuple[str, int]] = {}
for cp in range(0x80, LIMIT):
    if cp not in decomposition:
        continue
    parts, compat = decompose(cp)
    text = [c for c in parts if c not in marks]
    if text and len(text) <= 4 and all(0x20 <= c < 0x7F for c in text):
        folds[cp] = ("".join(map(chr, text)), 0 if compat else 1)
for cp, text in {0x2010: "-", 0x2011: "-", 0x2012: "-", 0x2013: "-", 0x2014: "-", 0x2015: "-", 0x2212: "-", 0x2018: "'", 0x2019: "'",
                 0x201C: '"', 0x201D: '"', 0x00AB: '"', 0x00BB: '"', 0x2044: "/", 0x2215: "/"}.items():
    folds[cp] = (text, 1)
for base, first in ((0x1F130, "A"), (0x1F150, "A"), (0x1F170, "A")):  # squared and negative letters
    for i in range(26):
        folds[base + i] = (chr(ord(first) + i), 0)
for i in range(26):
    folds[0x1F1E6 + i] = (chr(ord("A") + i), 2)  # regional indicators: flags in pairs, letters in a row
LOOKALIKE = {  # drawn like the ASCII letter in common fonts; fold 2: only inside words that mix scripts
    "a": "аɑαａ", "b": "ЬƄ", "c": "сϲᴄⅽ", "d": "ԁɗⅾ", "e": "еєҽ℮ɘε", "f": "ƒϝ", "g": "ɡցԍ", "h": "һհ", "i": "іıɩιӏⅰ", "j": "јϳ", "k": "κк",
    "l": "ӏⅼǀ", "m": "мⅿ", "n": "ոռηп", "o": "оοօσ๐ഠᴏ", "p": "рρ", "q": "ԛգ", "r": "гᴦ", "s": "ѕꜱ", "t": "тτᴛ", "u": "υսцᴜ", "v": "νѵᴠⅴ",
    "w": "ԝѡɯᴡω", "x": "хχⅹ", "y": "уүγ", "z": "ᴢʐ",
    "A": "АΑᎪ", "B": "ВΒᏴ", "C": "СϹᏟⅭ", "D": "Ꭰⅾ", "E": "ЕΕᎬ", "F": "ϜҒ", "G": "Ԍ", "H": "НΗᎻ", "I": "ІΙӀ", "J": "ЈᎫͿ", "K": "КΚᏦ",
    "L": "Ꮮ", "M": "МΜᎷ", "N": "Ν", "O": "ОΟՕ", "P": "РΡᏢ", "Q": "Ԛ", "R": "Ꭱ", "S": "ЅՏᏚ", "T": "ТΤᎢ", "U": "Ս", "V": "ѴᏙ", "W": "ԜᎳ",
    "X": "ХΧ", "Y": "ҮΥУ", "Z": "ΖᏃ",
}
for letter, others in LOOKALIKE.items():
    for o in others:
        if ord(o) > 0x7F and ord(o) not in folds:
            folds[ord(o)] = (letter, 2)

pages: dict[bytes, int] = {}
index = []
for page in range(LIMIT >> 8):
    key = bytes(cls[page << 8:(page + 1) << 8])
    index.append(pages.setdefault(key, len(pages)))
out = ["// Generated by tools/gen_unicode.py from Unicode 15.0 data (unicode.org/license). Do not edit.",
       f"inline constexpr uint8_t kClassPage[{len(index)}] = {{"]
assert len(pages) < 256
for i in range(0, len(index), 32):
    out.append(",".join(map(str, index[i:i + 32])) + ",")
out += ["};", f"inline constexpr uint8_t kClassOf[{len(pages)}][256] = {{"]
for key in pages:
    out.append("{")
    for i in range(0, 256, 32):
        out.append(",".join(map(str, key[i:i + 32])) + ",")
    out.append("},")
out += ["};", f"inline constexpr FoldEntry kFolds[{len(folds)}] = {{"]
row = ""
for cp in sorted(folds):
    text, kind = folds[cp]
    item = '{0x%X,%d,"%s"},' % (cp, kind, text.replace("\\", "\\\\").replace('"', '\\"'))
    if len(row) + len(item) > 118:
        out.append(row)
        row = ""
    row += item
out += [row, "};"]
print("\n".join(out))
