"""The names of OpenAI's hosted models that its audio API takes."""

HOSTED_MODELS = frozenset(
    {
        "whisper-1",
        "gpt-transcribe",
        "gpt-4o-transcribe",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-transcribe-2025-12-15",
        "gpt-4o-transcribe-diarize",
    }
)
NOT_STREAMED = "whisper-1"  # OpenAI documents that it ignores `stream`, and so do we
