"""However a corpus writes a language, training uses the code of MMS; what is not clear is told, never guessed."""

import pickle

import pytest

from shards.errors import ShardsError
from shards.language_table import language_table
from shards.languages import (
    LanguageError,
    language_codes,
    language_note,
    may_be_same_language,
    parse_language,
    resolve_language,
)

# Every folder of google/fleurs: https://huggingface.co/datasets/google/fleurs
FLEURS = """
af_za am_et ar_eg as_in ast_es az_az be_by bg_bg bn_in bs_ba ca_es ceb_ph ckb_iq cmn_hans_cn cs_cz cy_gb da_dk de_de
el_gr en_us es_419 et_ee fa_ir ff_sn fi_fi fil_ph fr_fr ga_ie gl_es gu_in ha_ng he_il hi_in hr_hr hu_hu hy_am id_id
ig_ng is_is it_it ja_jp jv_id ka_ge kam_ke kea_cv kk_kz km_kh kn_in ko_kr ky_kg lb_lu lg_ug ln_cd lo_la lt_lt luo_ke
lv_lv mi_nz mk_mk ml_in mn_mn mr_in ms_my mt_mt my_mm nb_no ne_np nl_nl nso_za ny_mw oc_fr om_et or_in pa_in pl_pl
ps_af pt_br ro_ro ru_ru sd_in sk_sk sl_si sn_zw so_so sr_rs sv_se sw_ke ta_in te_in tg_tj th_th tr_tr uk_ua umb_ao
ur_pk uz_uz vi_vn wo_sn xh_za yo_ng yue_hant_hk zu_za
"""
FL102 = {one.code for one in language_table() if "facebook/mms-1b-fl102" in one.models}
AMBIGUOUS = (
    "zh",
    "no",
    "sr",
    "sh",
    "ku",
    "ms",
    "az",
    "uz",
    "qu",
    "sr-RS",
    "zh-Hant",
    "Norwegian",
    "Chinese",
    "Serbian",
)


@pytest.mark.parametrize("code", ["ron", "srp-script_latin", "azj-script_cyrillic", "poh-dialect_eastern"])
def test_codes_that_mms_uses_are_languages(code):
    assert parse_language(code) == resolve_language(code) == code
    assert language_note(code) is None


@pytest.mark.parametrize("code", ["ro", "RON", "Romanian", "ron_RO", "", "../ron", "ron-script_", "ron\n"])
def test_a_bad_training_code_is_named_with_what_to_write(code):
    with pytest.raises(ShardsError, match="expected three lower-case letters"):
        parse_language(code)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("ro", "ron"),
        ("ro_ro", "ron"),
        ("ro-RO", "ron"),
        ("RO", "ron"),
        ("RON", "ron"),
        ("rum", "ron"),
        ("ron_Latn", "ron"),
        (" Romanian ", "ron"),
        ("romanian", "ron"),
        ("zh-CN", "cmn-script_simplified"),
        ("zh-TW", "cmn-script_traditional"),
        ("zh-HK", "yue-script_traditional"),
        ("zho_Hans", "cmn-script_simplified"),
        ("pt-BR", "por"),
        ("sv-SE", "swe"),
        ("ga-IE", "gle"),
        ("nan-tw", "nan"),
        ("rm-sursilv", "roh-dialect_sursilv"),
        ("srp_Cyrl", "srp-script_cyrillic"),
        ("sr-Latn", "srp-script_latin"),
        ("uzb_Latn", "uzb-script_latin"),
        ("kor_Hang", "kor"),
        ("ur", "urd-script_arabic"),
        ("sw", "swh"),
        ("iw", "heb"),
        ("ca-valencia", "cat"),
        ("en-GB-oxendict", "eng"),
        ("ron_Cyrl", "ron-script_cyrillic"),
    ],
)
def test_other_ways_to_write_a_language_become_its_training_code(written, code):
    assert resolve_language(written) == code


def test_fleurs_folders_become_the_adapters_that_were_trained_on_fleurs():
    codes = [resolve_language(folder) for folder in FLEURS.split()]
    assert len(codes) == len(set(codes)) == 102
    assert set(codes) == FL102


@pytest.mark.parametrize("written", AMBIGUOUS)
def test_an_ambiguous_language_is_an_error_that_lists_all_candidates(written):
    with pytest.raises(LanguageError, match="may be several") as caught:
        resolve_language(written)
    assert len(caught.value.candidates) > 1
    for code in caught.value.candidates:
        assert code in str(caught.value)
        assert resolve_language(code) == code
    with pytest.raises(ShardsError, match=f"'{caught.value.candidates[0]}'"):
        parse_language(written)


@pytest.mark.parametrize("written", [False, "False", "false", "no"])
def test_norwegian_that_yaml_read_as_false_is_never_a_language_called_so(written):
    with pytest.raises(LanguageError, match="nob") as caught:
        resolve_language(written)
    assert set(caught.value.candidates) == {"nob", "nno"}


@pytest.mark.parametrize("written", [True, None, "", " ", "null", "xqz", "speaker-01", "en/US"])
def test_what_is_no_language_is_an_error_with_a_fix(written):
    with pytest.raises(LanguageError) as caught:
        resolve_language(written)
    assert caught.value.fix
    assert not caught.value.candidates


@pytest.mark.parametrize(("written", "nearest"), [("Romanain", "ron"), ("Swahilli", "swh"), ("Ukranian", "ukr")])
def test_a_misspelt_name_is_told_the_nearest_language(written, nearest):
    with pytest.raises(LanguageError, match=nearest):
        resolve_language(written)


def test_codes_that_look_like_missing_values_are_languages():
    assert resolve_language("nan") == "nan"
    assert language_table().by_code["nan"].name == "Min Nan Chinese"
    assert resolve_language("NA") == "nau"


@pytest.mark.parametrize("code", ["xmf", "lvs", "kmr", "twi", "qaa", "ron-script_cyrillic", "xmf-dialect_senaki"])
def test_a_language_that_mms_lacks_keeps_its_code_and_has_a_note(code):
    assert resolve_language(code) == code
    assert "starts from a new one" in language_note(code)


def test_the_note_names_the_codes_of_mms_for_the_same_language():
    assert "lav (Latvian)" in language_note("lvs")
    assert "kmr-script_latin" in language_note("kmr")
    assert "aka (Akan)" in language_note("twi")
    assert "Related" not in language_note("xmf")


def test_every_code_of_the_table_stands_for_itself_and_is_a_training_code():
    for language in language_table():
        assert language_codes(language.code) == (language.code,)
        assert parse_language(language.code) == language.code


def test_every_name_and_alias_leads_to_its_language():
    for language in language_table():
        for written in language.aliases:
            assert language.code in language_codes(written) or written in language_table().by_code


def test_the_table_has_all_adapters_of_mms():
    adapters = [one for one in language_table() if one.models]
    assert len(adapters) == 1198
    assert len({one.base for one in adapters}) == 1159
    assert len(FL102) == 102


def test_languages_are_compared_by_what_they_may_mean():
    for one, other in (
        ("ro", "ron"),
        ("zh", "yue-script_traditional"),
        ("no", "nob"),
        ("lv", "lvs"),
        ("unknown", "ron"),
    ):
        assert may_be_same_language(one, other)
    for one, other in (("ro", "rus"), ("en", "ron"), ("xqz", "ron"), ("Romanian", "ita")):
        assert not may_be_same_language(one, other)


def test_an_error_crosses_processes_with_its_candidates():
    error = LanguageError("found", "fix", ["nob", "nno"])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.candidates) == (str(error), error.candidates)
