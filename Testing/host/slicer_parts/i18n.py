"""Translations: the host has none, every text stays as it is."""


def translate(context, text):
    """The text in the application's language."""
    return text


def tr(text):
    """The text in the application's language, with the calling module as the context."""
    return translate("", text)
