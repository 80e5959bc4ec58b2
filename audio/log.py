"""What ffmpeg says on stderr, read line by line as it comes.

Both generations of ffmpeg's text are understood (5 and 6; 7 to 9); only lines that have a
meaning here are kept, so that neither huge tags nor a million complaints take memory.
"""

import re
from collections import deque

MAX_LINE_BYTES = 4096
COMPLAINTS_KEPT = 40  # the first is the cause; what follows repeats it

_LINE = re.compile(r"(?:\[[^]]* @ 0x[0-9a-f]+\] )*\[(info|warning|error|fatal|panic)\] (.*)")
_INPUT = re.compile(r"Input #0, (\S+), from ")
_DURATION = re.compile(r"  Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_STREAM = re.compile(r"  Stream #0:\d+\S*: (Audio|Video): (\w+)(.*)")
_FRAME = re.compile(r"n:\d+ .*\bchannels:(\d+) .*\brate:(\d+) ")
_END_OF_INPUT = ("Stream mapping:", "Output #0")


class FfmpegLog:
    """The facts in one run's log. Feed it bytes; read the attributes afterwards."""

    def __init__(self) -> None:
        self.container: str | None = None  # ffmpeg's name; None: the file could not be opened
        self.duration_s: float | None = None  # as the file claims
        self.is_duration_estimated = False  # from the bit rate, so not a claim of the file
        self.is_guess = False  # ffmpeg was not sure that this is the format at all
        self.codec: str | None = None  # of the first audio stream; None: there is none
        self.has_video = False
        self.sample_rate_hz: int | None = None  # of the first decoded frame
        self.channels: int | None = None
        self.first_complaint: str | None = None
        self.complaints: deque[str] = deque(maxlen=COMPLAINTS_KEPT)
        self._rest = b""
        self._in_header = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of stderr, whole lines or not."""
        *lines, rest = (self._rest + data).split(b"\n")
        # A line that long is a tag; its end would only be mistaken for another line.
        self._rest = rest[:MAX_LINE_BYTES]
        for line in lines:
            self._read(line[:MAX_LINE_BYTES].decode("utf-8", "replace"))

    def _read(self, line: str) -> None:
        match = _LINE.match(line)
        if match is None:
            return
        level, text = match.groups()
        if level == "info":
            self._read_info(text)
        elif level == "warning":
            self._read_warning(text)
        else:
            self.first_complaint = self.first_complaint or text
            self.complaints.append(text)

    def _read_warning(self, text: str) -> None:
        self.is_duration_estimated |= text.startswith("Estimating duration from bitrate")
        self.is_guess |= "misdetection possible" in text

    def _read_info(self, text: str) -> None:
        if match := _INPUT.match(text):
            self.container = match[1].rstrip(",")
            self._in_header = True
        elif text.startswith(_END_OF_INPUT):
            self._in_header = False
        elif self.channels is None and (match := _FRAME.match(text)):
            self.channels, self.sample_rate_hz = int(match[1]), int(match[2])
        elif self._in_header:
            self._read_header(text)

    def _read_header(self, text: str) -> None:
        if match := _DURATION.match(text):
            hours, minutes, seconds = match.groups()
            self.duration_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        elif match := _STREAM.match(text):
            kind, codec, rest = match.groups()
            if kind == "Video":
                self.has_video |= "(attached pic)" not in rest
            else:
                self.codec = self.codec or codec
