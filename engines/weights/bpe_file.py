"""Write openai-whisper's vocabulary as the tokenizer.json that Hugging Face's library reads.

tiktoken keeps tokens by rank and finds their merges while it encodes; the other library wants
every merge written down. They follow from the ranks: a token is made by the last merge of its
bytes under the ranks before its own.
"""

import json
from collections.abc import Mapping
from itertools import pairwise

import tiktoken

MIN_PARTS = 2


def vocabulary(encoding: tiktoken.Encoding) -> list[str]:
    """All tokens in the order of their ids, bytes spelt as GPT-2's byte-level alphabet."""
    spelling = _byte_spelling()
    special = {encoding.encode_single_token(t): t for t in encoding.special_tokens_set}
    return [
        special.get(number) or _spell(encoding.decode_single_token_bytes(number), spelling)
        for number in range(encoding.n_vocab)
    ]


def bpe_file(encoding: tiktoken.Encoding) -> str:
    """The text of tokenizer.json; encodes and decodes as the encoding does, without specials."""
    tokens = vocabulary(encoding)
    first_special = min(map(encoding.encode_single_token, encoding.special_tokens_set))
    parts = {"add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    content = {
        "version": "1.0",
        "added_tokens": [
            {
                "id": number,
                "content": tokens[number],
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for number in range(first_special, len(tokens))
        ],
        "pre_tokenizer": {"type": "ByteLevel", **parts},
        "decoder": {"type": "ByteLevel", **parts},
        "model": {
            "type": "BPE",
            "vocab": {token: number for number, token in enumerate(tokens[:first_special])},
            "merges": _merges(encoding, first_special),
        },
    }
    return json.dumps(content, ensure_ascii=False)


def _merges(encoding: tiktoken.Encoding, n_tokens: int) -> list[list[str]]:
    spelling = _byte_spelling()
    in_order = [encoding.decode_single_token_bytes(rank) for rank in range(n_tokens)]
    ranks = {token: rank for rank, token in enumerate(in_order)}
    return [
        [_spell(part, spelling) for part in _last_merge(token, ranks)]
        for token in in_order
        if len(token) >= MIN_PARTS
    ]


def _last_merge(token: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    """The two parts whose merge gives the token."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > MIN_PARTS:
        pairs = [ranks.get(a + b, len(ranks)) for a, b in pairwise(parts)]
        first = min(range(len(pairs)), key=pairs.__getitem__)
        parts[first : first + 2] = [parts[first] + parts[first + 1]]
    return parts


def _byte_spelling() -> list[str]:
    """A printable character for each byte, as GPT-2's encoder spells them."""
    as_it_is = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)}
    as_it_is |= set(range(ord("®"), ord("ÿ") + 1))
    spare = iter(range(256, 512))
    return [chr(byte if byte in as_it_is else next(spare)) for byte in range(256)]


def _spell(token: bytes, spelling: list[str]) -> str:
    return "".join(spelling[byte] for byte in token)
