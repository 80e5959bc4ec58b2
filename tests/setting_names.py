"""The names of the settings, as the environment has them."""

from config import Settings

SETTING_NAMES = frozenset(
    (field.alias or name).upper() for name, field in Settings.model_fields.items()
)


def without_settings(environment):
    """The environment without what configures the program, so that every run is alike."""
    return {key: value for key, value in environment.items() if key not in SETTING_NAMES}
