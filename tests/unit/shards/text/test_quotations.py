"""Apostrophes that are letters stay where quotation marks go, and no capital letter becomes another one."""

import time

import pytest

from shards.drops import Rejected
from shards.text import TextNormaliser
from shards.text_rules import load_rules


@pytest.mark.parametrize(
    ("language", "raw", "expected"),
    [
        # Of several words that begin with one, which is the quotation mark cannot be known; after a colon it can
        ("haw", "'Aloha 'oe'", "ʻaloha ʻoe"),
        ("haw", "‘Aloha ‘oe’", "ʻaloha ʻoe"),
        ("smo", "‘Ua fa‘apea mai, ‘O a‘u lea.’", "ʻua faʻapea mai ʻo aʻu lea"),
        ("ton", "Na'e pehe 'e he tangata: 'Malo'.", "naʻe pehe ʻe he tangata malo"),
        ("tah", "'Aloha' te parau.", "aloha te parau"),
        # Where the letter is written as itself, the others are quotation marks
        ("haw", "Ua ʻōlelo ʻo ia, 'Aloha' a me 'mahalo nō'.", "ua ʻōlelo ʻo ia aloha a me mahalo nō"),
        ("haw", "'ʻAe' a me ʻaʻole", "ʻae a me ʻaʻole"),
        # A letter at both edges: behind a full stop it closes for certain
        ("mlt", "Ta' Mario qal: 'Mela, x'għandek f'idejk?'", "ta' mario qal mela x'għandek f'idejk"),
        ("mlt", "Qrajt 'aqta'' u ta'", "qrajt aqta' u ta'"),
        ("ell", "Μου 'πε: 'Έλα!'", "μου 'πε έλα"),
        ("nav", "'Áádóó 'ání: 'Hágoshíí.'", "'áádóó 'ání hágoshíí"),
        ("nav", "'Áádóó 'ání yá'át'ééh.'", "'áádóó 'ání yá'át'ééh"),
        # Never a letter at the start
        ("som", "'Nabad' su'aal", "nabad su'aal"),
        ("orm", "'Nagaa jedhe, bu'aa", "nagaa jedhe bu'aa"),
        ("cha", "'Håfa gue' håga'", "håfa gue' håga'"),
        ("epo", "'Jes', de l' homar', dank' al", "jes' de l' homar' dank' al"),
        ("mkd", "’Рж, 'рбет и 'да', за'рж", "'рж 'рбет и да за'рж"),
        ("ory", "'ଓଡ଼ିଆ'ରେ", "ଓଡ଼ିଆରେ"),
        ("urd-script_latin", "Ba'd mein 'naya' Pakistan", "ba'd mein naya pakistan"),
        ("cmn-script_latin", "Xi’an ‘hǎo’", "xi'an hǎo"),
        # Capitals
        ("kaz", "Iшкi ІС, QAZAQ TILI", "iшкi іс qazaq tılı"),
        ("che", "ЧIаг1о КӀант", "чӏагӏо кӏант"),
        ("ukr", "І я, й Іван", "і я й іван"),
        ("hin", "\u094d\u200dक ख", "क ख"),
        ("hye", "Բարե´ւ", "բարև"),
        ("ydd", "כ'\u0301'צ", "כ״צ"),
        ("hye", "İ'\u0307a", "ia"),
        ("che", "хӏума ӏаьржа", "хӏума ӏаьржа"),
        # Words of one sign
        ("snd", "آئون ۽ توهان گهر ۾ آهيون.", "آئون ۽ توهان گهر ۾ آهيون"),
        ("crk-script_syllabics", "ᒋᓴᐢ ᙭ ᐁᑿ᙮", "ᒋᓴᐢ ᙭ ᐁᑿ"),
        ("naq", "|Gaob ||naba ‖în", "ǀgaob ǁnaba ǁîn"),
        # Elision
        ("ita", "E' 'n po' tardi, 'sta cosa", "e' 'n po' tardi 'sta cosa"),
        ("ita", "Disse: 'Va bene' e andò all'alba", "disse va bene e andò all'alba"),
        ("nds", "Dat is 'hier 'n Huus'", "dat is hier 'n huus"),
        ("fra", "«p'tit» l'ami d'aujourd'hui, 'oui'", "p'tit l'ami d'aujourd'hui oui"),
        ("eng", "rock 'n' roll, the dogs' owner; 'quoted words' here", "rock n roll the dogs owner quoted words here"),
        ("spa", "'Hola', pa'lante", "hola pa'lante"),
        ("rus", "'Да', сказал О'Нил", "да сказал о'нил"),
    ],
)
def test_letters_stay_and_quotation_marks_go(language, raw, expected):
    normalise = TextNormaliser(load_rules(language))
    assert normalise(raw) == expected
    assert normalise(expected) == expected


@pytest.mark.parametrize(
    ("language", "raw"),
    [
        *[("che", "XIX бӀешо"), ("che", "Петр I вахара"), ("ava", "II съезд"), ("kbd", "ІІ зауэ")],
        *[("rus", "ХIХ век"), ("rus", "конец ХХ века"), ("ukr", "ХІХ століття")],
        *[("spa", "el papa Juan Pablo 2"), ("por", "o rei Dom Pedro 5"), ("ind", "sejak Perang Dunia 2")],
        *[("eng", raw) for raw in ("when Henry 8 came", "dial 91", "60 mph", "5 lbs", "5 yrs")],
        ("deu", "5 Std"),
    ],
)
def test_a_numeral_is_neither_a_word_nor_a_cardinal(language, raw):
    with pytest.raises(Rejected, match="numbers"):
        TextNormaliser(load_rules(language))(raw)


@pytest.mark.parametrize("raw", ["<" * 50_000, "[a" * 50_000, "{" * 50_000, "'" * 50_000, "a-" * 50_000])
def test_a_long_line_takes_no_longer_than_its_length(raw):
    start = time.process_time()
    try:
        TextNormaliser(load_rules("eng"))(raw)
    except Rejected as error:
        assert error.reason in ("empty", "unsupported_characters")
    assert time.process_time() - start < 2
