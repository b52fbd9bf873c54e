"""Language codes: ISO 639-3 as MMS writes them, and what a two-letter code may stand for.

Training uses the codes of MMS: ISO 639-3, optionally with a script. A two-letter code (ISO 639-1) often names a group
of languages, or one language in several scripts, and each of these is trained separately.
"""

from __future__ import annotations

import re

from shards.errors import ShardsError

_LANGUAGE = re.compile(r"[a-z]{3}(-(script|dialect)_[a-z0-9]+)?")

_ONE = """
af afr  am amh  as asm  be bel  bg bul  bn ben  bs bos  ca cat  cs ces  cy cym  da dan  de deu  el ell  en eng
eo epo  es spa  eu eus  fi fin  fr fra  ga gle  gl glg  gu guj  ha hau  he heb  hi hin  hr hrv  ht hat  hu hun  hy hye
id ind  ig ibo  is isl  it ita  iw heb  ja jpn  jv jav  ka kat  kk kaz  km khm  kn kan  ko kor  ky kir  lb ltz  lg lug
ln lin  lo lao  lt lit  mi mri  mk mkd  ml mal  mr mar  mt mlt  my mya  nb nob  nl nld  nn nno  ny nya  oc oci  pl pol
pt por  ro ron  ru rus  rw kin  sd snd  si sin  sk slk  sl slv  sn sna  so som  st sot  sv swe  ta tam  te tel  tg tgk
th tha  ti tir  tl tgl  tn tsn  tr tur  ts tso  uk ukr  ur urd  vi vie  wo wol  xh xho  yo yor  zu zul
"""

_SEVERAL = {
    "ak": "aka twi fat",
    "ar": "ara arb arz ary apc",
    "ay": "ayr ayc",
    "az": "azj-script_latin azj-script_cyrillic azb",
    "cr": "crk cwd csw crl",
    "et": "est ekk vro",
    "fa": "fas pes prs",
    "ff": "ful fuv fuc ffm",
    "gn": "grn gug gui",
    "iu": "ike ikt",
    "kg": "kon kng",
    "ku": "kmr-script_latin kmr-script_arabic kmr-script_cyrillic ckb sdh",
    "lv": "lav lvs ltg",
    "mg": "mlg plt",
    "mn": "mon khk mvf",
    "ms": "zlm zsm ind",
    "ne": "npi dty",
    "no": "nob nno",
    "oj": "ojb ojs ciw",
    "om": "orm gaz hae",
    "or": "ory spv",
    "pa": "pan pnb",
    "ps": "pus pbt pbu pst",
    "qu": "quz quy que qub",
    "sh": "hrv bos srp-script_latin srp-script_cyrillic cnr",
    "sq": "sqi als aln",
    "sr": "srp-script_latin srp-script_cyrillic",
    "sw": "swh swc",
    "uz": "uzb-script_latin uzb-script_cyrillic uzn",
    "yi": "yid ydd",
    "zh": "cmn-script_simplified cmn-script_traditional yue-script_traditional wuu nan hak",
}

CANDIDATES: dict[str, tuple[str, ...]] = {
    **{two: (three,) for two, three in zip(*[iter(_ONE.split())] * 2, strict=True)},
    **{two: tuple(codes.split()) for two, codes in _SEVERAL.items()},
}


def parse_language(code: str) -> str:
    """Return `code` if it is ISO 639-3, optionally with a script or dialect as MMS writes them.

    Raises:
        ShardsError: it is not; names what was expected.
    """
    if _LANGUAGE.fullmatch(code):
        return code
    if hint := advice(code):
        raise ShardsError(f"language code {code!r} is not ISO 639-3: expected three lower-case letters", fix=hint)
    raise ShardsError(
        f"language code {code!r} is not ISO 639-3: expected three lower-case letters such as 'ron' (not 'ro', "
        "'RON' or 'Romanian'), optionally with a script as in 'srp-script_latin'"
    )


def advice(code: str) -> str:
    """Return what to write instead of a two-letter code such as `ro`, `no` or `zh-CN`; empty for other codes."""
    two = code.strip().lower().replace("_", "-").partition("-")[0]
    codes = CANDIDATES.get(two, ())
    if not codes:
        return ""
    if len(codes) == 1:
        return f"write {codes[0]!r}"
    return f"{two!r} may be several, write one of {', '.join(map(repr, codes))}"
