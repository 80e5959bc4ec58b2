"""Engines by the name that WHISPER_ENGINE gives them."""

from importlib.util import find_spec

from config import Settings
from domain.errors import ConfigurationError
from engines.base import EngineLoader
from engines.cpu_share import CpuShare

CPU_PLACES_FILE = "cpu-places"
FASTER_WHISPER_PACKAGES = ("ctranslate2", "faster_whisper")
HOW_TO_INSTALL = (
    "WHISPER_ENGINE is faster_whisper, which is an extra: install it with "
    "`make faster-whisper`, or `pip install -r requirements-faster-whisper.txt`"
)


def get_loader(name: str, settings: Settings) -> EngineLoader:
    """The loader of an engine. Imports torch only for engines that need it.

    Raises ConfigurationError for a name that is none, or an extra that is not installed.
    """
    if name == "fake":
        from engines.fake import FakeLoader

        return FakeLoader()
    if name == "openai_whisper":
        from engines.openai_whisper import OpenAIWhisperLoader

        return OpenAIWhisperLoader(
            settings.model_path, device=settings.device, share=_cpu_share(settings)
        )
    if name == "faster_whisper":
        return _faster_whisper(settings)
    raise ConfigurationError(f"WHISPER_ENGINE: there is no engine {name!r}")


def host_devices(loader: EngineLoader) -> list[str]:
    """The devices that get a model host each: every GPU that was chosen, or else the CPU."""
    devices = loader.devices()
    return [device for device in devices if device != "cpu"] or devices


def missing_extra(name: str) -> str | None:
    """What to do when the packages of an engine are not installed, or None. Imports nothing."""
    packages = FASTER_WHISPER_PACKAGES if name == "faster_whisper" else ()
    return None if all(map(find_spec, packages)) else HOW_TO_INSTALL


def _cpu_share(settings: Settings) -> CpuShare:
    return CpuShare(settings.run_path / CPU_PLACES_FILE, fixed_threads=settings.torch_threads)


def _faster_whisper(settings: Settings) -> EngineLoader:
    try:
        from engines.ctranslate2_whisper import FasterWhisperLoader
    except ModuleNotFoundError as error:
        if error.name not in FASTER_WHISPER_PACKAGES:
            raise
        raise ConfigurationError(HOW_TO_INSTALL) from error
    return FasterWhisperLoader(
        settings.model_path, device=settings.device, share=_cpu_share(settings)
    )
