"""Names of AssemblyAI's fields: which mean something here, and which cannot.

From `RawTranscriptionConfig` and `TranscriptResponse` of its official Python client.
"""

_ECHOED = """
audio_url format_text keyterms_prompt language_detection prompt punctuate speech_models temperature
webhook_auth_header_name webhook_url word_boost
"""
_OFF = """
auto_chapters auto_highlights content_safety disfluencies dual_channel entity_detection
filter_profanity iab_categories multichannel redact_pii redact_pii_audio
redact_pii_return_unredacted sentiment_analysis speaker_labels summarization
"""
_REFUSED = """
audio_end_at audio_start_from boost_param content_safety_confidence custom_spelling domain
keyterms_prompt_options language_codes language_confidence_threshold language_detection_options
language_detection_results redact_pii_audio_options redact_pii_audio_quality redact_pii_policies
redact_pii_sub remove_audio_tags speaker_options speakers_expected speech_threshold
speech_understanding summary_model summary_type
"""
_NEVER_FOUND = """
audio_channels auto_highlights_result chapters content_safety_labels entities
iab_categories_result sentiment_analysis_results summary translated_texts unredacted_text
unredacted_utterances unredacted_words utterances webhook_auth_header_value webhook_status_code
"""

ECHOED = tuple(_ECHOED.split())  # shown in the transcript as they were asked for
OFF = tuple(_OFF.split())  # may be false, and are false in the transcript
REFUSED = tuple(_REFUSED.split())  # options that may only be empty; null in the transcript
NEVER_FOUND = tuple(_NEVER_FOUND.split())  # results; null in the transcript
EXTRA_OPTIONS = ("language_code", "speech_model", "webhook_auth_header_value")
OPTIONS = frozenset({*ECHOED, *OFF, *REFUSED, *EXTRA_OPTIONS})  # all that a request may name
