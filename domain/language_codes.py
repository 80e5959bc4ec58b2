"""ISO 639-3 codes of the languages that Whisper knows, for APIs that speak in three letters.

https://iso639-3.sil.org; where it knows a language by two codes, the terminology one.
"""

from domain.languages import LANGUAGES

_PAIRS = """
en:eng zh:zho de:deu es:spa ru:rus ko:kor fr:fra ja:jpn pt:por tr:tur pl:pol ca:cat nl:nld ar:ara
sv:swe it:ita id:ind hi:hin fi:fin vi:vie he:heb uk:ukr el:ell ms:msa cs:ces ro:ron da:dan hu:hun
ta:tam no:nor th:tha ur:urd hr:hrv bg:bul lt:lit la:lat mi:mri ml:mal cy:cym sk:slk te:tel fa:fas
lv:lav bn:ben sr:srp az:aze sl:slv kn:kan et:est mk:mkd br:bre eu:eus is:isl hy:hye ne:nep mn:mon
bs:bos kk:kaz sq:sqi sw:swa gl:glg mr:mar pa:pan si:sin km:khm sn:sna yo:yor so:som af:afr oc:oci
ka:kat be:bel tg:tgk sd:snd gu:guj am:amh yi:yid lo:lao uz:uzb fo:fao ht:hat ps:pus tk:tuk nn:nno
mt:mlt sa:san lb:ltz my:mya bo:bod tl:tgl mg:mlg as:asm tt:tat haw:haw ln:lin ha:hau ba:bak jw:jav
su:sun yue:yue
"""
THREE_LETTERS: dict[str, str] = dict(pair.split(":") for pair in _PAIRS.split())

# Members of macrolanguages, and spellings of ISO 639-1 that are not Whisper's.
_OTHER_CODES = {
    "jv": "jw",
    "nb": "no",
    "nob": "no",
    "fil": "tl",
    "cmn": "zh",
    "arb": "ar",
    "pes": "fa",
    "swh": "sw",
    "zsm": "ms",
    "ekk": "et",
    "lvs": "lv",
    "npi": "ne",
    "khk": "mn",
    "als": "sq",
    "azj": "az",
    "uzn": "uz",
    "pbt": "ps",
}
_CODES = {code: code for code in LANGUAGES} | {three: code for code, three in THREE_LETTERS.items()}
_CODES |= _OTHER_CODES


def code_of(iso_code: str) -> str | None:
    """Whisper's code for an ISO 639-1 or 639-3 code in any case; None when it knows no such."""
    return _CODES.get(iso_code.strip().lower())


def three_letters(code: str) -> str:
    """The ISO 639-3 code of a language as Whisper spells it; an unknown one as it is."""
    return THREE_LETTERS.get(code, code)
