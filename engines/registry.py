"""Engines by the name that WHISPER_ENGINE gives them."""

from config import Settings
from domain.errors import ConfigurationError
from engines.base import EngineLoader

CPU_PLACES_FILE = "cpu-places"


def get_loader(name: str, settings: Settings) -> EngineLoader:
    """The loader of an engine. Imports torch only for engines that need it."""
    if name == "fake":
        from engines.fake import FakeLoader

        return FakeLoader()
    if name == "openai_whisper":
        from engines.cpu_share import CpuShare
        from engines.openai_whisper import OpenAIWhisperLoader

        share = CpuShare(settings.run_path / CPU_PLACES_FILE, fixed_threads=settings.torch_threads)
        return OpenAIWhisperLoader(settings.model_path, device=settings.device, share=share)
    raise ConfigurationError(f"WHISPER_ENGINE: there is no engine {name!r}")
