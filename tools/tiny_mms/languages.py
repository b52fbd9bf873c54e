"""The training languages of the base, and their voices.

English, Spanish, French, Italian and Russian (the demo corpus) are not in the training data, and neither are
Romanian, Georgian, Ukrainian and Lithuanian, so both sets measure transfer to new languages.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class SpeechLanguage:
    """One language of the synthesiser and the sources of its texts.

    ``voice`` is the espeak-ng voice, ``locale`` the folder of Django's catalogues and the Babel locale, ``num2words``
    the language of spelled-out numbers (None if num2words does not have it).
    """

    voice: str
    locale: str
    num2words: str | None = None


BASE_LANGUAGES: tuple[SpeechLanguage, ...] = (
    SpeechLanguage("de", "de", "de"),
    SpeechLanguage("nl", "nl", "nl"),
    SpeechLanguage("sv", "sv", "sv"),
    SpeechLanguage("da", "da", "da"),
    SpeechLanguage("nb", "nb", "no"),
    SpeechLanguage("is", "is", "is"),
    SpeechLanguage("pt", "pt", "pt"),
    SpeechLanguage("pt-br", "pt_BR", "pt_BR"),
    SpeechLanguage("ca", "ca", "ca"),
    SpeechLanguage("pl", "pl", "pl"),
    SpeechLanguage("cs", "cs", "cs"),
    SpeechLanguage("sk", "sk", "sk"),
    SpeechLanguage("sl", "sl", "sl"),
    SpeechLanguage("hr", "hr"),
    SpeechLanguage("sr", "sr", "sr"),
    SpeechLanguage("bg", "bg"),
    SpeechLanguage("mk", "mk"),
    SpeechLanguage("be", "be", "be"),
    SpeechLanguage("lv", "lv", "lv"),
    SpeechLanguage("et", "et"),
    SpeechLanguage("fi", "fi", "fi"),
    SpeechLanguage("hu", "hu", "hu"),
    SpeechLanguage("el", "el"),
    SpeechLanguage("sq", "sq"),
    SpeechLanguage("eu", "eu"),
    SpeechLanguage("tr", "tr", "tr"),
    SpeechLanguage("az", "az", "az"),
    SpeechLanguage("kk", "kk", "kz"),
    SpeechLanguage("hy", "hy"),
    SpeechLanguage("fa", "fa", "fa"),
    SpeechLanguage("hi", "hi"),
    SpeechLanguage("bn", "bn", "bn"),
    SpeechLanguage("ta", "ta"),
    SpeechLanguage("te", "te", "te"),
    SpeechLanguage("id", "id", "id"),
    SpeechLanguage("vi", "vi", "vi"),
    SpeechLanguage("sw", "sw"),
    SpeechLanguage("cy", "cy", "cy"),
    SpeechLanguage("eo", "eo", "eo"),
    SpeechLanguage("ko", "ko", "ko"),
    SpeechLanguage("af", "af"),
    SpeechLanguage("bs", "bs"),
    SpeechLanguage("ga", "ga"),
    SpeechLanguage("gd", "gd"),
    SpeechLanguage("ia", "ia"),
    SpeechLanguage("io", "io"),
    SpeechLanguage("la", "la"),
    SpeechLanguage("lb", "lb"),
    SpeechLanguage("ky", "ky"),
    SpeechLanguage("tt", "tt"),
    SpeechLanguage("tk", "tk"),
    SpeechLanguage("uz", "uz"),
    SpeechLanguage("ms", "ms"),
    SpeechLanguage("mr", "mr"),
    SpeechLanguage("ne", "ne"),
    SpeechLanguage("pa", "pa"),
    SpeechLanguage("ml", "ml"),
    SpeechLanguage("kn", "kn"),
    SpeechLanguage("ur", "ur"),
)
UNSEEN_LANGUAGES: tuple[SpeechLanguage, ...] = (
    SpeechLanguage("ro", "ro", "ro"),
    SpeechLanguage("ka", "ka"),
    SpeechLanguage("uk", "uk", "uk"),
    SpeechLanguage("lt", "lt", "lt"),
)

# Languages of the demo corpus (ISO 639-3), and the voices whose phones are the reference for its recordings.
DEMO_VOICES = {"eng": "en-us", "spa": "es-419", "fra": "fr", "ita": "it", "rus": "ru"}

# Variants of espeak-ng's formant voices, without whispering, robot and joke voices.
TRAINING_VARIANTS: tuple[str, ...] = (
    "", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "adam", "Alex", "Alicia", "Andrea",
    "Andy", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "Denis", "Diogo",
    "ed", "edward", "Gene", "grandma", "grandpa", "gustave", "Henrique", "Hugo", "ian", "iven", "iven3",
    "Jacky", "john", "kaukovalta", "klatt", "klatt2", "klatt4", "klatt5", "Lee", "linda", "Marco", "Mario",
    "max", "Michael", "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert",
    "sandro", "shelby", "steph", "steph3", "travis", "victor", "zac",
)  # fmt: skip
UNSEEN_VARIANTS: tuple[str, ...] = ("m8", "f5", "Annie", "marcelo", "Reed", "klatt3", "steph2", "edward2")
