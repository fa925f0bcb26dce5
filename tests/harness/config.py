"""Writes configuration files in libconfuse's grammar."""


def quote(text):
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def value(something):
    if isinstance(something, bool):
        return "yes" if something else "no"
    if isinstance(something, int):
        return str(something)
    if isinstance(something, (list, tuple, set)):
        return "{ " + ", ".join(quote(element) for element in something) + " }"
    return quote(something)


def keys(settings, indent=""):
    return "".join(f"{indent}{key} = {value(setting)}\n" for key, setting in settings.items())


def section(kind, title, settings):
    heading = kind if title is None else f"{kind} {quote(title)}"
    return f"{heading} {{\n{keys(settings, '    ')}}}\n"
