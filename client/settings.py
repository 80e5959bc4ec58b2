"""The options of the commands as values, and what they become in a request."""

from dataclasses import dataclass

SUBTITLES = ("srt", "vtt")


@dataclass(frozen=True)
class Connection:
    """Which server, and how patiently."""

    server: str
    key: str | None
    timeout: float | None  # seconds


@dataclass(frozen=True)
class TranscribeSettings:
    """Everything that `transcribe` was told. Names as on the command line."""

    paths: tuple[str, ...]
    filename: str | None
    recursive: bool
    model: str | None
    language: str | None
    task: str | None
    priority: str | None
    initial_prompt: str | None
    temperature: float | None
    beam_size: int | None
    word_timestamps: bool
    no_downgrade: bool
    decode_mode: str | None
    transcript_format: str
    max_line_width: int | None
    max_line_count: int | None
    output: str | None
    force: bool
    jobs: int
    purge: bool
    detach: bool
    quiet: bool

    def submit_options(self) -> dict[str, str]:
        """Query parameters of the upload; what was not asked for is left to the server."""
        given = {
            "model_size": self.model,
            "language": self.language,
            "task": self.task,
            "priority": self.priority,
            "initial_prompt": self.initial_prompt,
            "temperature": None if self.temperature is None else f"{self.temperature:g}",
            "beam_size": None if self.beam_size is None else str(self.beam_size),
            "word_timestamps": "true" if self.word_timestamps else None,
            "allow_downgrade": "false" if self.no_downgrade else None,
            "decode_mode": self.decode_mode,
        }
        return {name: value for name, value in given.items() if value is not None}

    def result_options(self) -> dict[str, str]:
        """Query parameters of the result."""
        wanted = {"format": self.transcript_format}
        if self.max_line_width is not None:
            wanted["max_line_width"] = str(self.max_line_width)
        if self.max_line_count is not None:
            wanted["max_line_count"] = str(self.max_line_count)
        return wanted

    def problem(self) -> str | None:
        """What contradicts itself, as a sentence, or None."""
        stdin_count = self.paths.count("-")
        is_cut = self.max_line_width is not None or self.max_line_count is not None
        problems = {
            "no recording given: name files, folders, addresses, or - for standard input": (
                not self.paths
            ),
            "standard input can be read once only": stdin_count > 1,
            "--filename names standard input: it goes with -": self.filename and not stdin_count,
            "--max-line-width and --max-line-count are for --format srt and vtt": (
                is_cut and self.transcript_format not in SUBTITLES
            ),
            "--detach prints job ids and fetches nothing: --output has no use": (
                self.detach and self.output
            ),
            "--detach does not wait for the end, so nothing can be purged": (
                self.detach and self.purge
            ),
        }
        return next((problem for problem, is_there in problems.items() if is_there), None)
